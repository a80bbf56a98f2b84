// When the client logs in and renews, and that it does so as seldom as can be.
import assert from 'node:assert/strict'
import { after, before, beforeEach, test } from 'node:test'
import { WechatAuth, WechatAuthError } from '../wechatauth.js'
import { failure, pause, Site } from './site.mjs'
import { answer } from './wire.mjs'

let site, users = 0
before(async () => { site = await Site.start() })
after(() => site.close())
beforeEach(() => {
  site.wire.calm()
  site.wire.seen = []
})

// A new user's phone, and its client.
function newUser(options) {
  const phone = site.phone(`session-${++users}`)
  return { phone, auth: new WechatAuth({ baseURL: site.url, wx: phone.wx, ...options }) }
}

test('the first request that needs a user logs in, and the next does not', async () => {
  const { phone, auth } = newUser()
  assert.deepEqual([auth.user, auth.state, auth.loggedIn], [null, 'anonymous', false])
  const { data, statusCode } = await auth.request({ url: '/hello' })
  assert.equal(statusCode, 200)
  assert.equal(data.openid, auth.user.openid)
  assert.deepEqual([auth.state, auth.loggedIn, auth.user.new], ['logged_in', true, true])
  await auth.request({ url: `${site.url}/again` })
  assert.equal(phone.logins, 1)
  assert.deepEqual(site.wire.seen, ['GET /hello', 'POST /auth/login', 'GET /hello', 'GET /again'])
})

test('public answers cost no login', async () => {
  const { phone, auth } = newUser()
  assert.equal((await auth.request({ url: '/products/1' })).data.openid, undefined)
  await auth.request({ url: '/feedback', method: 'POST', data: { text: 'hi' } })
  assert.equal(phone.logins, 0)
  assert.equal(site.wire.seen.length, 2)
})

test('auth: required logs in first, and none sends no token', async () => {
  const { auth } = newUser()
  assert.equal((await auth.request({ url: '/feed', auth: 'required' })).data.openid, auth.user.openid)
  assert.deepEqual(site.wire.seen, ['POST /auth/login', 'GET /feed'])
  assert.equal((await auth.request({ url: '/feed', auth: 'none' })).data.openid, undefined)
  assert.equal((await failure(auth.request({ url: '/hello', auth: 'none' }))).code, 'token_missing')
})

test('thirty requests at once share one login, over all clients, and stay below ten at once', async () => {
  const { phone, auth } = newUser()
  const other = new WechatAuth({ baseURL: `${site.url}/`, wx: phone.wx })
  const all = await Promise.all(Array.from({ length: 30 }, (_, i) => (i % 2 ? auth : other).request({ url: `/n/${i}?wait=20` })))
  assert.ok(all.every(({ data }) => data.openid === auth.user.openid))
  assert.equal(phone.logins, 1)
  assert.equal(site.wire.count('POST /auth/login'), 1)
  assert.ok(phone.peak <= 9) // eight, and the login
  assert.equal(other.user.openid, auth.user.openid)
})

test('tokens outlive a restart of the app, in each environment of its own', async () => {
  const { phone, auth } = newUser()
  await auth.login()
  const again = new WechatAuth({ baseURL: site.url, wx: phone.start() })
  assert.deepEqual([again.state, again.user], ['logged_in', auth.user])
  await again.request({ url: '/hello' })
  assert.equal(phone.logins, 1)

  phone.envVersion = 'release'
  assert.equal(new WechatAuth({ baseURL: site.url, wx: phone.start() }).state, 'anonymous')
  phone.envVersion = 'develop'
  assert.equal(new WechatAuth({ baseURL: 'https://other.example.com', wx: phone.start() }).state, 'anonymous')
  assert.equal(new WechatAuth({ baseURL: site.url, wx: phone.start(), appid: 'wxffffffffffffffff' }).state, 'anonymous')
  assert.equal(new WechatAuth({ baseURL: site.url, wx: phone.start(), storageKey: 'mine' }).state, 'anonymous')
})

test('storage that fails or holds rubbish is no failure', async () => {
  for (const spoil of [
    (phone) => { phone.storageBroken = true },
    (phone) => { phone.storageBroken = 'for reading' },
    ...['{{{', 7, [], { rev: 1e15 }, { rev: 1e15, access: { token: 7 }, refresh: 'x', user: 'x', ending: 'x', spent: 'x' },
      { rev: 1e15, access: { token: 'x', at: 1, life: 1 }, refresh: { token: 'x', at: Date.now(), life: 1e9 }, ending: [null, 7, {}] },
    ].map((rubbish) => (phone, key) => phone.storage.set(key, JSON.stringify(rubbish))),
  ]) {
    const { phone } = newUser()
    spoil(phone, `wechatauth:${site.url}/auth:${phone.appid}:develop`)
    const auth = new WechatAuth({ baseURL: site.url, wx: phone.wx })
    assert.ok((await auth.request({ url: '/hello' })).data.openid, spoil)
    assert.equal((await auth.request({ url: '/hello' })).data.openid, auth.user.openid)
    assert.equal(phone.logins, 1)
  }
})

test('a session that was revoked is replaced by a silent login', async () => {
  const { phone, auth } = newUser()
  const { openid } = await auth.login()
  for (let i = 0; i < 5; i++) { // also again and again
    await site.service('POST', `users/-/${openid}/logout`)
    assert.equal((await auth.request({ url: '/hello' })).data.openid, openid)
  }
  assert.equal(phone.logins, 6)
  assert.equal(site.wire.count('POST /auth/refresh'), 0) // it could not have worked
})

test('requests that come while the session is revoked share one login', async () => {
  const { phone, auth } = newUser()
  const { openid } = await auth.login()
  await site.service('POST', `users/-/${openid}/logout`)
  await Promise.all(Array.from({ length: 20 }, () => auth.request({ url: '/hello?wait=5' })))
  assert.equal(phone.logins, 2)
})

test('a user who is banned gets the reason, and public answers', async () => {
  const { auth } = newUser()
  const { openid } = await auth.login()
  await site.service('PUT', `users/-/${openid}/ban`, { reason: 'spam' })
  const e = await failure(auth.request({ url: '/hello' }))
  assert.ok(e instanceof WechatAuthError && e instanceof Error)
  assert.deepEqual([e.code, e.status, e.description], ['denied', 403, 'spam'])
  assert.equal((await auth.request({ url: '/products/1' })).statusCode, 200)
  await site.service('DELETE', `users/-/${openid}/ban`)
  assert.equal((await auth.request({ url: '/hello' })).data.openid, openid)
})

// However often an app asks, a server that refuses every token must not be flooded, nor WeChat's login.
test('a server that answers 401 for ever gets a bounded number of requests', async () => {
  const { phone, auth } = newUser()
  await auth.login()
  site.wire.next('GET /', answer(401, {}, '{"error":"session_revoked"}'), Infinity)
  for (let i = 0; i < 20; i++) assert.equal((await failure(auth.request({ url: '/hello' }))).status, 401)
  assert.ok(site.wire.count('GET /hello') <= 23, site.wire.count('GET /hello'))
  assert.equal(phone.logins, 4)
  site.wire.calm()
  assert.equal((await auth.request({ url: '/hello' })).statusCode, 200)

  site.wire.next('', answer(401, {}, ''), Infinity) // everything, own routes too
  for (const call of [
    () => auth.request({ url: '/hello' }), () => auth.login({ force: true }), () => auth.erase(), () => auth.setNickname('x'),
    () => auth.bindPhone({ detail: { code: 'x' } }), () => auth.uploadFile({ url: '/x', name: 'x', filePath: 'x' }), () => auth.token({ refused: 'x' }),
  ]) {
    site.wire.seen = []
    await call().catch(() => {})
    assert.ok(site.wire.seen.length <= 5, `${call}: ${site.wire.seen}`)
  }
})

test('a login meanwhile and a listener that throws do no harm, and changes are told once', async () => {
  const { auth } = newUser()
  const told = []
  const stop = auth.on('change', ({ user, state }) => told.push([state, user?.openid]))
  await Promise.all([auth.login(), auth.request({ url: '/hello' }), auth.login()])
  const { openid } = auth.user
  await auth.login({ force: true })
  await auth.logout()
  await pause(0)
  // `new` differs between the two logins.
  assert.deepEqual(told, [['logged_in', openid], ['logged_in', openid], ['logged_out', undefined]])
  stop()
  await auth.login()
  assert.equal(told.length, 3)
  assert.throws(() => auth.on('login', () => {}), TypeError)
})

test('token() is for requests that are sent in other ways', async () => {
  const { phone, auth } = newUser()
  const token = await auth.token()
  assert.equal(await auth.token(), token)
  assert.notEqual(await auth.token({ refused: token }), token)
  assert.equal(await auth.token({ refused: token }), await auth.token())
  assert.equal(phone.logins, 1)
})

test('the token goes to no other host', async () => {
  const { phone, auth } = newUser()
  await auth.login()
  const sent = []
  phone.wx.request = ({ url, header, success }) => {
    sent.push(url)
    assert.equal(header.Authorization, undefined, url)
    setImmediate(success, { statusCode: 200, data: '', header: {} })
  }
  const host = site.url.slice('http://'.length)
  for (const url of [
    'https://evil.example.com/', `https://${host}/`, `http://${host}.evil.example.com/`, `http://${host}@evil.example.com/`,
    `http://${host}\\@evil.example.com/`, `http://x:y@${host}/`, 'http://evil.example.com/?http://' + host, `${site.url}1/`,
  ]) await auth.request({ url })
  phone.wx.request = ({ url, header, success }) => {
    assert.ok(header.Authorization && url.startsWith(`${site.url}/`), url)
    setImmediate(success, { statusCode: 200, data: '', header: {} })
  }
  for (const url of ['@evil.example.com/', '//evil.example.com/', '.evil.example.com', ':80@evil.example.com', 'x']) await auth.request({ url })
  assert.equal(sent.length, 8)
})

test('an Authorization header of the app is left alone', async () => {
  const { phone, auth } = newUser()
  const e = await failure(auth.request({ url: '/hello', header: { authorization: 'Bearer other' } }))
  assert.deepEqual([e.code, phone.logins], ['token_invalid', 0])
})

test('options that cannot work are refused', async () => {
  const { auth, phone } = newUser()
  for (const baseURL of [undefined, '', 'api.example.com', 'ftp://x', 'https://x?y', 'https://u@x', 'https://x#y', 'https://']) {
    assert.throws(() => new WechatAuth({ baseURL, wx: phone.wx }), TypeError, baseURL)
  }
  assert.throws(() => new WechatAuth({ baseURL: 'https://x' }), TypeError) // there is no global wx
  assert.equal((await failure(auth.request({ url: '/x', success() {} }))).code, 'request_invalid')
  assert.equal((await failure(auth.request({ url: '/x', method: 'PATCH' }))).code, 'request_invalid')
})

test('a logout that cannot be stored leaves no tokens to come back after a restart', async () => {
  const { phone, auth } = newUser()
  await auth.login()
  phone.storageBroken = true
  await auth.logout()
  phone.storageBroken = false
  assert.equal(new WechatAuth({ baseURL: site.url, wx: phone.start() }).user, null)
})

test('two pages may listen with the same function', async () => {
  const { auth } = newUser()
  let calls = 0
  const listener = () => { calls++ }
  const [stop] = [auth.on('change', listener), auth.on('change', listener)]
  stop()
  await auth.login()
  await pause(0)
  assert.equal(calls, 1)
})

test('a WebSocket of another host gets no token', async () => {
  const { phone, auth } = newUser()
  await auth.login()
  const sent = []
  phone.wx.connectSocket = ({ header, fail }) => void (sent.push(header), setImmediate(fail, { errMsg: 'connectSocket:fail' }))
  for (const url of ['wss://evil.example.com/', 'https://evil.example.com/', `wss://${site.wire.address}/`]) {
    assert.equal((await failure(auth.connectSocket({ url }))).code, 'socket_failed')
  }
  assert.deepEqual(sent, [{}, {}, {}])
})

// A login that failed proves nothing against the next.
test('a server that was away for some logins is asked again at the next request', async () => {
  const { auth } = newUser({ maxWait: 0 })
  site.wire.next('POST /auth/login', answer(503, {}, '{"error":"wechat_unavailable"}'), 5)
  for (let i = 0; i < 5; i++) assert.equal((await failure(auth.request({ url: '/hello' }))).code, 'wechat_unavailable')
  assert.equal((await auth.request({ url: '/hello' })).statusCode, 200)
})

test('one path that refuses every token does not renew it for ever, while others take it', async () => {
  const { auth } = newUser()
  await auth.login()
  site.wire.next('GET /broken', answer(401, {}, ''), Infinity)
  for (let i = 0; i < 20; i++) {
    assert.equal((await failure(auth.request({ url: '/broken' }))).status, 401)
    await auth.request({ url: '/hello' })
  }
  assert.equal(site.wire.count('POST /auth/refresh'), 3)
})
