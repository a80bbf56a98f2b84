// What the user gives: phone, avatar, nickname; and takes back: logout, erasure.
import assert from 'node:assert/strict'
import { after, before, beforeEach, test } from 'node:test'
import { WechatAuth } from '../wechatauth.js'
import { failure, Site } from './site.mjs'
import { answer } from './wire.mjs'

const PIXEL = Buffer.from('iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGP4DwABAQEAsTj2FAAAAABJRU5ErkJggg==', 'base64')
let site, users = 0
before(async () => { site = await Site.start('encrypted_data on') })
after(() => site.close())
beforeEach(() => {
  site.wire.calm()
  site.wechat.calm()
  site.wire.seen = []
})

function newUser(options) {
  const name = `user-${++users}`, phone = site.phone(name)
  phone.files.set('wxfile://tmp_1.jpg', PIXEL)
  return { name, phone, auth: new WechatAuth({ baseURL: site.url, wx: phone.wx, ...options }) }
}

for (const kind of ['phone', 'cloudID', 'encryptedData']) {
  test(`a phone button that gives ${kind}`, async () => {
    const { name, auth } = newUser()
    await auth.login()
    assert.equal((await failure(auth.request({ url: '/orders/1' }))).code, 'phone_required')
    const detail = { errMsg: 'getPhoneNumber:ok', ...await site.code(name, kind, '13800138000') }
    const user = await auth.bindPhone({ type: 'getphonenumber', detail })
    assert.deepEqual([user.phone, auth.user.phone_number], ['13800138000', '+8613800138000'])
    assert.equal((await auth.request({ url: '/orders/1' })).data.phone, '13800138000')
  })
}

test('all that the button may give: the code goes, for it is the safest', async () => {
  const { name, auth, phone } = newUser()
  await auth.login()
  const sent = []
  const { request } = phone.wx
  phone.wx.request = (options) => { sent.push(options.data); return request(options) }
  await auth.bindPhone({ detail: { encryptedData: 'x', iv: 'y', cloudID: 'z', ...await site.code(name, 'phone', '13800138000') } })
  assert.deepEqual(Object.keys(sent[0]), ['code'])
})

test('the result of a function, as in AI mode, is as good as an event', async () => {
  const { name, auth } = newUser()
  assert.equal((await auth.bindPhone({ errMsg: 'getPhoneNumber:ok', ...await site.code(name, 'phone', '13800138000') })).phone, '13800138000')
})

// Texts are of real phones.
test('why a button gave nothing', async () => {
  const { auth } = newUser()
  for (const [code, detail] of [
    ['cancelled', { errMsg: 'getPhoneNumber:fail user deny' }],
    ['cancelled', { errMsg: 'getPhoneNumber:fail:user cancel', errno: 1 }],
    ['cancelled', { errMsg: 'getPhoneNumber:ok' }], // without data
    ['cancelled', { errMsg: 'something new', errno: 99999 }],
    ['cancelled', {}],
    ['privacy_refused', { errno: 103, errMsg: 'getPhoneNumber:fail jsapi user authorize denied' }],
    ['privacy_refused', { errno: 104, errMsg: 'getPhoneNumber:fail privacy permission is not authorized' }],
    ['privacy_refused', { errMsg: 'getPhoneNumber:fail privacy permission is not authorized' }],
    ['privacy_refused', { errno: 101102 }],
    ['privacy_undeclared', { errno: 112, errMsg: 'getPhoneNumber:fail api scope is not declared in the privacy agreement' }],
    ['privacy_undeclared', { errno: 101100 }],
    ['privacy_banned', { errno: 1025, errMsg: 'getPhoneNumber:fail appid privacy api banned' }],
    ['privacy_banned', { errno: 101101 }],
    ['phone_quota', { errno: 1400001, errMsg: 'getPhoneNumber:fail appid no enough quota' }],
    ['phone_blocked', { errno: 1421102 }],
    ['phone_not_permitted', { errno: 102, errMsg: 'getPhoneNumber:fail jsapi has no permission' }],
    ['phone_not_permitted', { errMsg: 'getPhoneNumber:fail 该 appid 没有权限' }],
    ['too_frequent', { errno: 1003 }],
    ['timeout', { errno: 5 }],
  ]) {
    const e = await failure(auth.bindPhone({ detail }))
    assert.deepEqual([e.code, e.errno], [code, detail.errno], JSON.stringify(detail))
  }
  for (const event of [undefined, null, {}, { detail: null }]) assert.equal((await failure(auth.bindPhone(event))).code, 'cancelled')
  assert.equal((await failure(auth.setAvatar({ detail: { errMsg: 'chooseAvatar:fail cancel' } }))).code, 'cancelled')
  assert.equal((await failure(auth.setAvatar({ detail: { errMsg: 'chooseAvatar:fail api scope is not declared in the privacy agreement' } }))).code, 'privacy_undeclared')
  assert.equal(site.wire.seen.length, 0)
})

test('a phone code that WeChat does not take is no reason for a new login', async () => {
  const { phone, auth } = newUser()
  await auth.login()
  site.wire.seen = []
  const e = await failure(auth.bindPhone({ detail: { code: 'made-up' } }))
  assert.deepEqual([e.code, e.status, e.errcode, typeof e.rid], ['code_invalid', 401, 40029, 'string'])
  assert.deepEqual([site.wire.seen, phone.logins], [['POST /auth/phone'], 1])
})

test('one tap login: without a session the code goes along with the login', async () => {
  const { name, auth } = newUser()
  assert.equal((await auth.bindPhone({ detail: await site.code(name, 'phone', '13800138000') })).phone, '13800138000')
  assert.deepEqual(site.wire.seen, ['POST /auth/login'])
  await auth.logout()
  const phone = { detail: await site.code(name, 'phone', '13900139000') }
  assert.equal((await failure(auth.bindPhone(phone))).code, 'logged_out')
  assert.equal((await auth.login({ phone })).phone, '13900139000')
  assert.equal((await auth.login({ phone: { detail: await site.code(name, 'phone', '13700137000') } })).phone, '13700137000')

  const failing = newUser().auth
  const e = await failure(failing.login({ phone: { code: 'made-up' } }))
  assert.deepEqual([e.code, e.errcode, e.status, failing.state], ['code_invalid', 40029, undefined, 'logged_in'])

  const busy = newUser() // WeChat, at the phone alone: the tap is not gone
  site.wechat.next('POST /wxa/business/getuserphonenumber', answer(200, {}, '{"errcode":-1,"errmsg":"system error"}'), 5)
  const tap = { detail: await site.code(busy.name, 'phone', '13800138000') }
  assert.equal((await failure(busy.auth.bindPhone(tap))).code, 'wechat_unavailable')
  site.wechat.calm()
  assert.equal((await busy.auth.bindPhone(tap)).phone, '13800138000')
})

test('data that cannot be decrypted: the next tap works', async () => {
  const { name, phone, auth } = newUser()
  await auth.login()
  const detail = await site.code(name, 'encryptedData', '13800138000')
  const other = { ...detail, encryptedData: detail.encryptedData.replace(/^../, (two) => (two === 'AA' ? 'BB' : 'AA')) }
  assert.equal((await failure(auth.bindPhone({ detail: other }))).code, 'session_key_stale')
  assert.equal(phone.logins, 2)
  assert.equal((await auth.bindPhone({ detail: await site.code(name, 'encryptedData', '13800138000') })).phone, '13800138000')
})

// The phone was given elsewhere, or the token is of before.
test('a token that lacks the phone of its user is renewed, once', async () => {
  const { name, auth } = newUser()
  await auth.login()
  await auth.bindPhone({ detail: await site.code(name, 'phone', '13800138000') })
  site.wire.next('GET /orders/1', answer(403, {}, '{"error":"phone_required"}'))
  assert.equal((await auth.request({ url: '/orders/1' })).data.phone, '13800138000')
  site.wire.seen = []
  site.wire.next('GET /orders/1', answer(403, {}, '{"error":"phone_required"}'), 2)
  assert.equal((await failure(auth.request({ url: '/orders/1' }))).code, 'phone_required')
  assert.equal(site.wire.seen.length, 3)
})

test('an avatar and a nickname', async () => {
  const { auth } = newUser() // not logged in
  const { avatar } = await auth.setAvatar({ detail: { avatarUrl: 'wxfile://tmp_1.jpg' } })
  assert.equal((await fetch(auth.url(avatar))).headers.get('content-type'), 'image/jpeg')
  assert.deepEqual(site.wire.seen.slice(0, 2), ['POST /auth/login', 'POST /auth/profile']) // not sent in vain
  assert.equal((await auth.setNickname('小明')).nickname, '小明')
  const both = await auth.setAvatar('wxfile://tmp_1.jpg', '小红')
  assert.deepEqual([both.nickname, auth.user.nickname, auth.user.avatar], ['小红', '小红', avatar])
  const e = await failure(auth.setNickname('\u0007'))
  assert.deepEqual([e.code, e.status], ['invalid_request', 400])
})

test('changes at once leave a user with all of them', async () => {
  const { name, auth } = newUser()
  await auth.login()
  await Promise.all([
    auth.setNickname('小明'), auth.setAvatar('wxfile://tmp_1.jpg'),
    auth.bindPhone({ detail: await site.code(name, 'phone', '13800138000') }), auth.login({ force: true }),
  ])
  await auth.token({ refused: await auth.token() })
  const { nickname, avatar, phone } = auth.user
  assert.ok(nickname && avatar && phone)
})

test('an avatar is sent again when its token is refused, and never twice else', async () => {
  const { auth } = newUser()
  await auth.login()
  site.wire.next('POST /auth/profile', answer(401, { 'Content-Type': 'text/html' }, '<html>'))
  await auth.setAvatar('wxfile://tmp_1.jpg')
  assert.deepEqual(site.wire.seen, ['POST /auth/login', 'POST /auth/profile', 'POST /auth/refresh', 'POST /auth/profile'])
})

test('erasure forgets the user on the server and the phone', async () => {
  const { phone, auth } = newUser()
  const { openid } = await auth.login()
  await auth.erase()
  assert.deepEqual([auth.state, auth.user], ['logged_out', null])
  await assert.rejects(site.service('GET', `users/-/${openid}`), /404/)
  assert.equal((await failure(auth.request({ url: '/hello' }))).code, 'logged_out') // it would make the user again
  assert.equal((await failure(auth.erase())).code, 'logged_out')
  assert.ok(!JSON.stringify([...phone.storage.values()]).includes(openid))
  assert.equal((await auth.login()).new, true)
})

test('an erasure that something else answers for is not done', async () => {
  const { auth } = newUser()
  await auth.login()
  site.wire.next('DELETE /auth/profile', answer(200, {}, '<html>log in to the WiFi</html>'))
  assert.equal((await failure(auth.erase())).code, 'bad_answer')
  assert.equal(auth.state, 'logged_in')
})

test('logged out stays logged out, over a restart, until login()', async () => {
  const { phone, auth } = newUser()
  const { openid } = await auth.login()
  await auth.logout()
  assert.equal((await site.sessions(openid)).length, 0)
  assert.equal((await auth.request({ url: '/products/1' })).statusCode, 200)
  const again = new WechatAuth({ baseURL: site.url, wx: phone.start() })
  for (const call of [() => again.request({ url: '/hello' }), () => again.token(), () => again.setNickname('x'), () => again.uploadFile({ url: '/x', name: 'x', filePath: 'x' }), () => again.connectSocket({ url: '/ws' })]) {
    assert.equal((await failure(call())).code, 'logged_out', call)
  }
  assert.equal(phone.logins, 1)
  await again.login()
  assert.equal((await again.request({ url: '/hello' })).data.openid, openid)
})

test('all: every session of the user ends', async () => {
  const { name, auth } = newUser()
  const other = new WechatAuth({ baseURL: site.url, wx: site.phone(name).wx })
  const { openid } = await auth.login()
  await other.login()
  assert.equal((await site.sessions(openid)).length, 2)
  await auth.logout({ all: true })
  assert.equal((await site.sessions(openid)).length, 0)
  assert.equal((await failure(auth.logout({ all: true }))).code, 'logged_out') // it could end nothing
})

test('a logout without network is a logout, and the server gets to know of it', async () => {
  const { phone, auth } = newUser()
  const { openid } = await auth.login()
  phone.offline = true
  assert.equal((await failure(auth.logout())).code, 'offline')
  assert.equal(auth.state, 'logged_out')
  phone.offline = false
  assert.equal((await site.sessions(openid)).length, 1)
  const again = new WechatAuth({ baseURL: site.url, wx: phone.start() })
  await again.login()
  assert.equal((await site.sessions(openid)).length, 1) // the new one
  phone.offline = true
  await failure(again.logout())
  phone.offline = false
  await again.logout()
  assert.equal((await site.sessions(openid)).length, 0)
})

test('a login that fails leaves the user logged out', async () => {
  const { phone, auth } = newUser()
  await auth.logout()
  phone.offline = true
  assert.equal((await failure(auth.login())).code, 'offline')
  assert.equal(auth.state, 'logged_out')
  phone.offline = false
  await Promise.all([auth.login(), auth.request({ url: '/hello' }), auth.request({ url: '/hello', auth: 'required' })])
})
