// The life of tokens: expiry, refresh, clocks, keys, restarts.
import assert from 'node:assert/strict'
import { after, before, beforeEach, test } from 'node:test'
import { WechatAuth } from '../wechatauth.js'
import { failure, pause, Site } from './site.mjs'
import { answer } from './wire.mjs'

const TTL = 5 // seconds; renewed one second ahead
let site, users = 0
before(async () => { site = await Site.start(`token {\nttl ${TTL}s\n}\nsession {\ngrace 2s\n}`) })
after(() => site.close())
beforeEach(() => {
  site.wire.calm()
  site.wire.seen = []
})

async function newUser() {
  const phone = site.phone(`renewal-${++users}`)
  const auth = new WechatAuth({ baseURL: site.url, wx: phone.wx })
  await auth.login()
  site.wire.seen = []
  return { phone, auth }
}

// What the phone's clock says, from now on.
const real = Date.now
function clock(t, ahead) {
  t.mock.restoreAll()
  t.mock.method(Date, 'now', () => real() + ahead)
}

test('a token is renewed before it expires, once for all requests, and no request is sent in vain', async (t) => {
  const { phone, auth } = await newUser()
  clock(t, 4200)
  await Promise.all(Array.from({ length: 20 }, () => auth.request({ url: '/hello' })))
  assert.equal(site.wire.count('POST /auth/refresh'), 1)
  assert.equal(site.wire.count('GET /hello'), 20)
  assert.equal(phone.logins, 1)
})

test('a phone whose clock is wrong, or steps, renews as seldom as another', async (t) => {
  const { phone, auth } = await newUser()
  for (const hours of [-24, 48, -1]) { // each step may cost one renewal
    clock(t, hours * 3600e3)
    site.wire.seen = []
    for (let i = 0; i < 5; i++) await auth.request({ url: '/hello' })
    assert.ok(site.wire.count('POST /auth/refresh') <= 1, `${hours}: ${site.wire.seen}`)
    t.mock.restoreAll()
  }
  assert.ok(phone.logins <= 3)
})

test('expired tokens are renewed by the refresh token, also after a restart of the app', async () => {
  const { phone, auth } = await newUser()
  const { openid } = auth.user
  await pause(TTL * 1000 + 100)
  const again = new WechatAuth({ baseURL: site.url, wx: phone.start() })
  assert.equal((await again.request({ url: '/hello' })).data.openid, openid)
  assert.deepEqual(site.wire.seen, ['POST /auth/refresh', 'GET /hello'])
  assert.equal(phone.logins, 1)
})

test('an upload is not sent with a token that has expired', async (t) => {
  const { phone, auth } = await newUser()
  phone.files.set('a', Buffer.alloc(100_000))
  clock(t, TTL * 1000)
  const { data } = await auth.uploadFile({ url: '/files', name: 'file', filePath: 'a' })
  assert.ok(JSON.parse(data).bytes > 100_000)
  assert.deepEqual(site.wire.seen, ['POST /auth/refresh', 'POST /files'])
})

// Nobody knows how old a token is whose time of arrival lies ahead.
test('an upload is not sent with a token from before the clock was put back', async (t) => {
  const { phone, auth } = await newUser()
  phone.files.set('a', Buffer.alloc(100_000))
  clock(t, 3600e3)
  await auth.token({ refused: await auth.token() })
  t.mock.restoreAll()
  site.wire.seen = []
  await auth.uploadFile({ url: '/files', name: 'file', filePath: 'a' })
  assert.deepEqual(site.wire.seen, ['POST /auth/refresh', 'POST /files'])
})

test('any 401 renews, whatever its body', async () => {
  const { phone, auth } = await newUser()
  for (const [name, text] of Object.entries({
    'HTML of nginx': answer(401, { 'Content-Type': 'text/html' }, '<html><h1>401 Authorization Required</h1></html>'),
    'X-Auth-Error': answer(401, { 'x-auth-ERROR': 'token_expired' }, ''),
    'a backend of its own': answer(401, { 'Content-Type': 'application/json' }, '{"message":"who?"}'),
    null: answer(401, { 'Content-Type': 'application/json' }, 'null'),
    array: answer(401, {}, '[]'),
  })) {
    site.wire.next('GET /hello', text)
    site.wire.seen = []
    assert.equal((await auth.request({ url: '/hello' })).statusCode, 200, name)
    assert.deepEqual(site.wire.seen, ['GET /hello', 'POST /auth/refresh', 'GET /hello'], name)
    site.wire.next('POST /files', text)
    phone.files.set('a', Buffer.from('a'))
    assert.equal((await auth.uploadFile({ url: '/files', name: 'file', filePath: 'a' })).statusCode, 200, name)
    site.wire.next('GET /file', text)
    assert.equal((await auth.downloadFile({ url: '/file' })).statusCode, 200, name)
  }
  assert.equal(phone.logins, 1)
})

test('refusals of the refresh token lead to a silent login', async (t) => {
  for (const [name, status, body] of [
    ['refresh_invalid', 401, '{"error":"refresh_invalid"}'], ['refresh_reused', 401, '{"error":"refresh_reused"}'],
    ['session_revoked', 401, '{"error":"session_revoked"}'], ['not a refresh token', 400, '{"error":"invalid_request"}'],
  ]) {
    const { phone, auth } = await newUser()
    clock(t, TTL * 1000)
    site.wire.next('POST /auth/refresh', answer(status, {}, body))
    assert.equal((await auth.request({ url: '/hello' })).data.openid, auth.user.openid, name)
    assert.deepEqual([phone.logins, site.wire.seen], [2, ['POST /auth/refresh', 'POST /auth/login', 'GET /hello']], name)
    t.mock.restoreAll()
  }
})

test('two copies of the client refresh at once and both go on', async (t) => {
  const { phone, auth } = await newUser()
  const copy = new WechatAuth({ baseURL: site.url, wx: { ...phone.wx } }) // knows nothing of the other but the storage
  assert.equal(copy.user.openid, auth.user.openid)
  clock(t, TTL * 1000)
  await Promise.all([auth.request({ url: '/hello' }), copy.request({ url: '/hello' })])
  assert.equal(site.wire.count('POST /auth/refresh'), 2)
  t.mock.restoreAll()
  clock(t, 2 * TTL * 1000)
  await auth.request({ url: '/hello' })
  await copy.request({ url: '/hello' }) // with what the other has stored
  assert.equal(site.wire.count('POST /auth/refresh'), 3)
  await auth.logout()
  await assert.rejects(copy.request({ url: '/hello' }), { code: 'logged_out' })
  await copy.login()
  assert.equal((await auth.request({ url: '/hello' })).statusCode, 200)
  assert.equal(phone.logins, 2)
})

test('a slow sidecar, its restart and new keys go unnoticed', async () => {
  const { phone, auth } = await newUser()
  const { openid } = auth.user
  await site.service('POST', 'keys/rotate')
  assert.equal((await auth.request({ url: '/hello' })).data.openid, openid)
  await site.end()
  await site.run(`token {\nttl ${TTL}s\n}`)
  assert.equal((await auth.request({ url: '/hello' })).data.openid, openid)
  await pause(TTL * 1000)
  site.wire.seen = []
  site.wire.next('POST /auth/refresh', 1500)
  const all = await Promise.all(Array.from({ length: 15 }, () => auth.request({ url: '/hello' })))
  assert.ok(all.every(({ data }) => data.openid === openid))
  assert.deepEqual([phone.logins, site.wire.count('POST /auth/refresh')], [1, 1])
})

// To send the same refresh token later would look like theft, and end the session with an alarm.
test('a refresh whose answer was lost for longer than the grace is no theft', async (t) => {
  const { phone, auth } = await newUser()
  const token = await auth.token()
  site.wire.next('POST /auth/refresh', 'after', 3)
  assert.equal((await failure(auth.token({ refused: token }))).code, 'network')
  site.wire.seen = []
  clock(t, 40e3)
  const again = new WechatAuth({ baseURL: site.url, wx: phone.start() }) // the app was closed meanwhile
  assert.notEqual(await again.token({ refused: token }), token)
  assert.deepEqual(site.wire.seen, ['POST /auth/login'])
})

test('a refresh that the server refuses for now is tried again, however late', async (t) => {
  const { phone, auth } = await newUser()
  const token = await auth.token()
  site.wire.next('POST /auth/refresh', answer(429, { 'Retry-After': 60 }, '{"error":"rate_limited"}'))
  assert.equal((await failure(auth.token({ refused: token }))).code, 'rate_limited')
  clock(t, 40e3)
  assert.notEqual(await auth.token({ refused: token }), token)
  assert.equal(phone.logins, 1)
})

// The server may have spent the token at the first try, so what it says at the second proves nothing.
test('a lost refresh and a refusal after it are no reason to send the token much later', async (t) => {
  const { auth } = await newUser()
  const token = await auth.token()
  site.wire.next('POST /auth/refresh', 'after')
  site.wire.next('POST /auth/refresh', answer(429, { 'Retry-After': 60 }, '{"error":"rate_limited"}'))
  assert.equal((await failure(auth.token({ refused: token }))).code, 'rate_limited')
  clock(t, 40e3)
  site.wire.seen = []
  await auth.token({ refused: token })
  assert.deepEqual(site.wire.seen, ['POST /auth/login'])
})
