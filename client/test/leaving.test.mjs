// Logouts, erasures and other persons in the middle of everything else, and another copy of the file.
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
  site.wire.seen = []
})

async function newUser() {
  const name = `leaving-${++users}`, phone = site.phone(name)
  const auth = new WechatAuth({ baseURL: site.url, wx: phone.wx })
  await auth.login()
  site.wire.seen = []
  return { phone, auth, nextPerson() { phone.loginCode = async () => (await site.code(`${name}-next`)).code } }
}

// A promise, and what ends it.
function gate() {
  let go
  const until = new Promise((done) => { go = done })
  return { until, go }
}

async function sent(request) {
  while (!site.wire.count(request)) await pause(5)
}

test('a change that waits for another is not made as the person who came after a logout', async () => {
  const { auth, nextPerson } = await newUser()
  site.wire.next('POST /auth/profile', 'late')
  const changes = [failure(auth.setNickname('Alice')), failure(auth.setNickname('Alice 2'))]
  await sent('POST /auth/profile')
  nextPerson()
  const out = auth.logout()
  const { openid } = await auth.login()
  assert.deepEqual((await Promise.all(changes)).map(({ code }) => code), ['logged_out', 'logged_out'])
  await out
  assert.equal((await site.service('GET', `users/-/${openid}`)).user.nickname, undefined)
})

test('a request that is refused after a logout is not repeated as the person who came then', async () => {
  const { auth, nextPerson } = await newUser()
  const { until, go } = gate()
  site.wire.next('POST /order', until)
  const order = failure(auth.request({ url: '/order', method: 'POST' }))
  await sent('POST /order')
  nextPerson()
  await auth.logout()
  await auth.login()
  go()
  assert.equal((await order).code, 'logged_out')
  assert.equal(site.wire.count('POST /order'), 1)
})

// A request that is refused because the session is gone would log in, and the server would know the user again.
test('nothing logs in while an erasure is under way', async () => {
  const { auth } = await newUser()
  const { openid } = auth.user
  site.wire.next('DELETE /auth/profile', 'late')
  const erased = auth.erase()
  await sent('DELETE /auth/profile')
  await pause(150)
  assert.equal((await failure(auth.request({ url: '/hello' }))).code, 'logged_out')
  await erased
  assert.equal(site.wire.count('POST /auth/login'), 0)
  await assert.rejects(site.service('GET', `users/-/${openid}`), /404/)
})

test('an erasure waits for a login, which would make the user anew', async () => {
  const { auth } = await newUser()
  const { openid } = auth.user
  site.wire.next('POST /auth/login', 300)
  const login = failure(auth.login({ force: true }).then(() => { throw new Error('logged in') }))
  await sent('POST /auth/login')
  await auth.erase()
  await login
  await assert.rejects(site.service('GET', `users/-/${openid}`), /404/)
})

test('a logout of all sessions during the first login logs out', async () => {
  const phone = site.phone(`leaving-${++users}`), auth = new WechatAuth({ baseURL: site.url, wx: phone.wx })
  const { until, go } = gate()
  site.wire.next('POST /auth/login', until)
  const login = failure(auth.login())
  await sent('POST /auth/login')
  const out = failure(auth.logout({ all: true }))
  go()
  assert.equal((await out).code, 'logged_out')
  assert.equal((await login).code, 'logged_out')
  assert.equal(auth.state, 'logged_out')
})

test('a logout whose answer is slow does not log out who came in by another copy', async () => {
  const { phone, auth } = await newUser()
  const copy = new WechatAuth({ baseURL: site.url, wx: { ...phone.wx } })
  site.wire.next('POST /auth/logout', 'late')
  const out = auth.logout()
  await sent('POST /auth/logout')
  await copy.login()
  await out
  assert.deepEqual([copy.state, auth.state], ['logged_in', 'logged_in'])
})

test('a refusal of a refresh does not bring back what another copy logged out', async () => {
  const { phone, auth } = await newUser()
  const slow = ({ success, ...options }) => phone.wx.request({ ...options, success: (res) => setTimeout(success, 200, res) })
  const copy = new WechatAuth({ baseURL: site.url, wx: { ...phone.wx, request: slow } })
  site.wire.next('POST /auth/refresh', answer(429, {}, ''))
  site.wire.next('POST /auth/logout', 'late')
  const refresh = failure(copy.token({ refused: await auth.token() }))
  await sent('POST /auth/refresh')
  const out = auth.logout()
  assert.equal((await refresh).status, 429)
  assert.deepEqual([copy.state, auth.state], ['logged_out', 'logged_out'])
  await out
})
