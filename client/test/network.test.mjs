// What WeChat and the network do to requests, and what a busy server says.
import assert from 'node:assert/strict'
import { after, before, beforeEach, test } from 'node:test'
import { WechatAuth } from '../wechatauth.js'
import { failure, pause, Site } from './site.mjs'
import { answer } from './wire.mjs'

let site, users = 0
before(async () => { site = await Site.start() })
after(() => site.close())
beforeEach(() => {
  site.wire.calm()
  site.wechat.calm()
  site.wire.seen = []
})

function newUser({ headerCase, domains, loginCode, ...options } = {}) {
  const name = `network-${++users}`, phone = site.phone(name, { headerCase, domains, ...(loginCode && { loginCode }) })
  return { name, phone, auth: new WechatAuth({ baseURL: site.url, wx: phone.wx, ...options }) }
}

test('offline is said at once, and everything works when the network is back', async () => {
  const { phone, auth } = newUser()
  phone.offline = true
  for (const call of [() => auth.request({ url: '/hello' }), () => auth.login(), () => auth.uploadFile({ url: '/x', name: 'x', filePath: 'x' }), () => auth.erase()]) {
    const { request, uploadFile, login } = phone.wx
    let tries = 0
    const counted = (real) => (options) => { tries++; return real(options) }
    Object.assign(phone.wx, { request: counted(request), uploadFile: counted(uploadFile), login: counted(login) })
    assert.equal((await failure(call())).code, 'offline')
    assert.equal(tries, 1, call)
    Object.assign(phone.wx, { request, uploadFile, login })
  }
  phone.offline = false
  await auth.request({ url: '/hello' })
})

test('a domain that is not in the list is a matter of configuration', async () => {
  const { auth } = newUser({ domains: /^https:/ })
  const e = await failure(auth.request({ url: '/hello' }))
  assert.deepEqual([e.code, e.errno], ['request_invalid', 600002])
  assert.match(e.message, /domain list/)
})

test('what WeChat interrupts in the background is repeated when the app is shown, if that can do no harm', async () => {
  const { phone, auth } = newUser()
  const login = auth.login()
  while (!phone.running.size) await pause(1)
  phone.hide()
  await pause(50)
  assert.equal(site.wire.count('POST /auth/login') <= 1, true)
  phone.show()
  await login
  assert.equal(phone.logins, 1)

  const get = auth.request({ url: '/hello?wait=600' }), post = failure(auth.request({ url: '/hello?wait=600', method: 'POST' }))
  while (phone.running.size < 2) await pause(1)
  phone.hide()
  assert.equal((await post).code, 'interrupted')
  const later = auth.request({ url: '/later' }) // made in the background
  await pause(600)
  site.wire.seen = []
  phone.show()
  assert.deepEqual((await Promise.all([get, later])).map(({ statusCode }) => statusCode), [200, 200])
  assert.deepEqual(site.wire.seen.sort(), ['GET /hello?wait=600', 'GET /later'])
})

test('a task can be aborted', async () => {
  const { auth } = newUser()
  await auth.login()
  assert.equal((await failure(auth.request({ url: '/hello?wait=500', onTask: (task) => setTimeout(() => task.abort(), 20) }))).code, 'aborted')
})

test('429 and 503 are repeated once, after the time that the server says', async () => {
  const { auth } = newUser({ headerCase: (name) => name.replace(/(^|-)[a-z]/g, (c) => c.toUpperCase()) })
  await auth.login()
  for (const [method, status, headers, body] of [
    ['GET', 503, { 'Retry-After': 1 }, '<html>503 Service Temporarily Unavailable</html>'],
    ['POST', 503, { 'retry-after': 1, 'X-Auth-Error': 'auth_unavailable' }, '{"error":"auth_unavailable"}'],
    ['POST', 429, { 'RETRY-AFTER': new Date(Date.now() + 3600e3 + 1500).toUTCString(), Date: new Date(Date.now() + 3600e3).toUTCString() }, ''],
  ]) {
    site.wire.seen = []
    site.wire.next(`${method} /hello`, answer(status, headers, body))
    const began = Date.now()
    await auth.request({ url: '/hello', method })
    assert.ok(Date.now() - began >= 900)
    assert.equal(site.wire.seen.length, 2)

    site.wire.next(`${method} /hello`, answer(status, headers, body), 2)
    const e = await failure(auth.request({ url: '/hello', method }))
    assert.deepEqual([e.status, e.retryAfter > 0], [status, true])
    assert.equal(site.wire.seen.length, 4)
  }
})

test('a long wait is the app\'s decision, and so is one without a time', async () => {
  const { auth } = newUser()
  await auth.login()
  site.wire.seen = []
  for (const [retryAfter, headers] of [[60, { 'Retry-After': 60 }], [undefined, {}], [undefined, { 'Retry-After': 'soon' }], [undefined, { 'Retry-After': '-1' }]]) {
    site.wire.next('GET /hello', answer(503, headers, ''))
    const e = await failure(auth.request({ url: '/hello' }))
    assert.deepEqual([e.code, e.status, e.retryAfter], ['http_503', 503, retryAfter])
  }
  assert.equal(site.wire.seen.length, 4)
})

test('WeChat busy at a login: the client comes again, and then says so', async () => {
  const { phone, auth } = newUser()
  site.wechat.next('GET /sns/jscode2session', answer(200, {}, '{"errcode":-1,"errmsg":"system error"}'), Infinity)
  const e = await failure(auth.request({ url: '/hello' }))
  assert.deepEqual([e.code, e.status, e.errcode, e.retryAfter], ['wechat_unavailable', 503, -1, 2])
  assert.deepEqual([phone.logins, site.wire.count('POST /auth/login')], [1, 2])
  assert.equal((await auth.request({ url: '/products/1' })).statusCode, 200)
  site.wechat.calm()
  await auth.request({ url: '/hello' })
})

test('a refresh that the server cannot do now is no end of the session, and public answers come', async () => {
  const { phone, auth } = newUser({ maxWait: 0 })
  await auth.login()
  const away = answer(503, { 'Retry-After': 2 }, '{"error":"store_unavailable"}')
  const real = Date.now
  Date.now = () => real() + 3600e3
  try {
    site.wire.next('POST /auth/refresh', away, Infinity)
    assert.equal((await auth.request({ url: '/products/1' })).statusCode, 200)
    assert.equal((await auth.request({ url: '/hello' })).statusCode, 200) // the server's clock says it is valid
    site.wire.next('GET /hello', answer(401, {}, '{"error":"token_expired"}'))
    const e = await failure(auth.request({ url: '/hello' }))
    assert.deepEqual([e.code, e.retryAfter], ['store_unavailable', 2])
    assert.equal((await failure(auth.uploadFile({ url: '/x', name: 'x', filePath: 'x' }))).code, 'store_unavailable')
    site.wire.calm()
    assert.equal((await auth.request({ url: '/hello' })).statusCode, 200)
  } finally {
    Date.now = real
  }
  assert.equal(phone.logins, 1)
})

test('public answers come while logins hang', async () => {
  const { auth } = newUser({ timeout: 100 })
  site.wire.next('POST /auth/login', 'silence', Infinity)
  const login = failure(auth.request({ url: '/hello' }))
  while (!site.wire.count('POST /auth/login')) await pause(5)
  assert.equal((await auth.request({ url: '/products/1' })).statusCode, 200)
  assert.equal((await login).code, 'timeout')
})

test('a captive portal is no login', async () => {
  const { auth } = newUser()
  for (const text of ['<html>log in to the WiFi</html>', '{}', 'null', '"x"', '{"access_token":7,"user":{"openid":"o"}}', '{"access_token":"x"}', '']) {
    site.wire.next('POST /auth/login', answer(200, {}, text))
    assert.equal((await failure(auth.login())).code, 'bad_answer', text)
    assert.equal(auth.state, 'anonymous')
  }
  site.wire.next('POST /auth/login', answer(204, {}, ''))
  assert.equal((await failure(auth.login())).code, 'bad_answer')
})

test('wx.login that fails', async () => {
  for (const [code, errno, errMsg, logins] of [
    ['login_blocked', 1402101, 'login:fail wxa login is blocked', 1], ['too_frequent', 1003, 'login:fail', 1],
    ['login_failed', undefined, 'login:fail internal', 2], ['timeout', 5, 'login:fail timeout', 2],
  ]) {
    const { phone, auth } = newUser({ loginCode: () => Promise.reject({ errno, errMsg }) })
    const e = await failure(auth.request({ url: '/hello' }))
    assert.deepEqual([e.code, e.errno, phone.logins], [code, errno, logins])
  }
  const { auth } = newUser({ loginCode: async () => '' })
  assert.equal((await failure(auth.login())).code, 'login_failed')
})

test('errors of the backend are its own', async () => {
  const { auth } = newUser()
  await auth.login()
  site.wire.next('GET /hello', answer(422, { 'Content-Type': 'application/json' }, '{"error":"sold_out","left":0}'))
  const e = await failure(auth.request({ url: '/hello' }))
  assert.deepEqual([e.code, e.status, e.response.data.left, e.name], ['sold_out', 422, 0, 'WechatAuthError'])
  assert.equal((await failure(auth.request({ url: '/hello?status=500' }))).code, 'http_500')
  const bytes = await failure(auth.request({ url: '/orders/1', responseType: 'arraybuffer' }))
  assert.deepEqual([bytes.code, bytes.status], ['phone_required', 403])
  assert.equal((await auth.request({ url: '/hello', responseType: 'arraybuffer' })).data.byteLength > 0, true)
})

test('files: the token is sent, and a refusal is no file', async () => {
  const { phone, auth } = newUser()
  phone.files.set('a', Buffer.from('abc'))
  const up = JSON.parse((await auth.uploadFile({ url: '/files', name: 'file', filePath: 'a', formData: { x: 1 } })).data)
  assert.equal(up.openid, auth.user.openid)
  const { tempFilePath } = await auth.downloadFile({ url: '/files/1' })
  assert.equal(JSON.parse(phone.files.get(tempFilePath)).openid, up.openid)
  assert.equal((await failure(auth.downloadFile({ url: '/orders/1' }))).status, 403)
  assert.equal((await failure(auth.uploadFile({ url: '/orders/1', name: 'file', filePath: 'a' }))).code, 'phone_required')
})

test('a WebSocket opens with the token, and with a new one if that was revoked', async () => {
  const { phone, auth } = newUser()
  const open = async (url) => {
    const task = await auth.connectSocket({ url, protocols: ['chat'] })
    const { data } = await new Promise((done) => task.onMessage(done))
    task.close()
    return data
  }
  assert.equal(await open('/ws'), `hello ${auth.user.openid}`)
  assert.equal(await open(site.url.replace('http', 'ws') + '/ws'), `hello ${auth.user.openid}`)
  await site.service('POST', `users/-/${auth.user.openid}/logout`)
  const real = Date.now
  Date.now = () => real() + 11e3
  try {
    assert.equal(await open('/ws'), `hello ${auth.user.openid}`)
    assert.equal(phone.logins, 2)
    site.wire.seen = []
    assert.equal((await failure(auth.connectSocket({ url: '/orders/ws' }))).code, 'socket_failed')
    assert.equal(site.wire.seen.length, 1) // a fresh token cannot be the cause
  } finally {
    Date.now = real
  }
  phone.offline = true
  assert.equal((await failure(auth.connectSocket({ url: '/orders/ws' }))).code, 'offline')
})

test('more requests than WeChat takes at once wait in order, and a login does not wait behind them', async () => {
  const { phone, auth } = newUser({ maxConcurrent: 3 })
  await auth.login()
  phone.peak = 0
  site.wire.seen = []
  const all = Array.from({ length: 12 }, (_, i) => auth.request({ url: `/n/${i}?wait=100` }))
  await auth.login({ force: true })
  await Promise.all(all)
  assert.ok(site.wire.seen.indexOf('POST /auth/login') < 6, String(site.wire.seen))
  assert.ok(phone.peak <= 4)
  assert.deepEqual(site.wire.seen.filter((s) => s.startsWith('GET')).map((s) => parseInt(s.slice(7), 10)), [...Array(12).keys()])
})

test('an app that asks for bytes gets the reason in Chinese', async () => {
  const { auth } = newUser()
  site.wire.next('GET /x', answer(403, {}, '{"error":"denied","error_description":"违规"}'))
  assert.equal((await failure(auth.request({ url: '/x', responseType: 'arraybuffer' }))).description, '违规')
})

// Errors end up in logs. A redirect would have WeChat send what a login or refresh sends to another host.
test('what is not wechatauth gets no tokens passed on, and ends none up in errors', async () => {
  const { phone, auth } = newUser()
  const { request } = phone.wx
  phone.wx.request = (options) => {
    assert.equal(options.redirect, 'manual', options.url)
    return request(options)
  }
  for (const text of ['{"access_token":"top-secret"}', '{"access_token":"top-secret\\r\\nX: y","user":{"openid":"o"}}', '{"access_token":"top-秘","user":{"openid":"o"}}']) {
    site.wire.next('POST /auth/login', answer(200, {}, text))
    const e = await failure(auth.login())
    assert.equal(e.code, 'bad_answer')
    assert.doesNotMatch(JSON.stringify(e), /top-/)
  }
  site.wire.next('POST /auth/login', answer(307, { Location: 'http://evil.example.com/' }, ''))
  assert.equal((await failure(auth.login())).code, 'bad_answer')
})

test('a WebSocket whose onTask throws does not hang', async () => {
  const { auth } = newUser()
  const e = await failure(auth.connectSocket({ url: '/ws', onTask() { throw new Error('a mistake of the app') } }))
  assert.match(e.errMsg, /a mistake of the app/)
})

test('10,000 requests leave nothing behind', async () => {
  const { phone, auth } = newUser()
  await auth.login()
  phone.wx.request = ({ success }) => void setImmediate(success, { statusCode: 200, data: '', header: {} })
  const session = auth._session
  for (let i = 0; i < 10_000; i++) await auth.request({ url: '/hello' })
  const { running, waiting, onShown, sessions } = session.device
  assert.deepEqual([running, waiting.length, onShown.length, sessions.size, session.listeners.size], [0, 0, 0, 1, 0])
})
