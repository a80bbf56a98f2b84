// The network cut at each step of login, refresh, phone and upload: nothing is lost that cannot be had again.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { WechatAuth } from '../wechatauth.js'
import { failure, pause, Site } from './site.mjs'
import { answer, Wire } from './wire.mjs'

const CUTS = ['before', 'after', 'middle', 'silence']
const PIXEL = Buffer.from('iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGP4DwABAQEAsTj2FAAAAABJRU5ErkJggg==', 'base64')
let site, users = 0
before(async () => { site = await Site.start() })
after(() => site.close())

// A user whose phone has a network of its own, so that the tests run side by side.
async function newUser(t, options) {
  const name = `lost-${++users}`, phone = site.phone(name), wire = await Wire.to(site.wire.target)
  t.after(() => wire.close())
  phone.files.set('http://tmp/x.png', PIXEL)
  return { name, phone, wire, auth: new WechatAuth({ baseURL: wire.url, wx: phone.wx, ...options }) }
}

describe('cut', { concurrency: 8 }, () => {
  for (const cut of CUTS) {
    const patience = cut === 'silence' ? { timeout: 2500 } : {}

    test(`a login whose connection breaks (${cut}) takes one code and makes one session`, async (t) => {
      const { phone, wire, auth } = await newUser(t, patience)
      wire.next('POST /auth/login', cut)
      assert.equal((await auth.request({ url: '/hello' })).data.openid, auth.user.openid)
      assert.deepEqual([phone.logins, wire.count('POST /auth/login')], [1, 2])
      assert.equal((await site.sessions(auth.user.openid)).length, 1)
    })

    test(`a refresh whose connection breaks (${cut}) goes on with the same session`, async (t) => {
      const { phone, wire, auth } = await newUser(t, patience)
      const token = await auth.token()
      wire.next('POST /auth/refresh', cut, 2)
      assert.notEqual(await auth.token({ refused: token }), token)
      assert.deepEqual([phone.logins, wire.count('POST /auth/refresh')], [1, 3])
      assert.equal((await site.sessions(auth.user.openid)).length, 1)
    })

    test(`a phone tap whose connection breaks (${cut}) is not paid twice`, async (t) => {
      const { name, wire, auth } = await newUser(t, patience)
      await auth.login()
      wire.next('POST /auth/phone', cut, 2)
      const detail = { errMsg: 'getPhoneNumber:ok', ...await site.code(name, 'phone', '13800138000') }
      assert.equal((await auth.bindPhone({ detail })).phone, '13800138000')
      assert.equal((await auth.request({ url: '/orders/1' })).data.phone, '13800138000')
      assert.equal(wire.count('POST /auth/phone'), 3)
    })

    test(`a one tap login whose connection breaks (${cut}) has the phone`, async (t) => {
      const { name, phone, wire, auth } = await newUser(t, patience)
      wire.next('POST /auth/login', cut, 2)
      assert.equal((await auth.bindPhone({ detail: await site.code(name, 'phone', '13800138000') })).phone, '13800138000')
      assert.deepEqual([phone.logins, wire.count('POST /auth/login'), wire.count('POST /auth/phone')], [1, 3, 0])
    })

    // The avatar's own upload takes WeChat's time-out, so that a slow network can carry it: silence would take a minute.
    if (cut !== 'silence') {
      test(`an avatar whose connection breaks (${cut}) arrives`, async (t) => {
        const { wire, auth } = await newUser(t, patience)
        await auth.login()
        wire.next('POST /auth/profile', cut)
        const { avatar, nickname } = await auth.setAvatar({ detail: { avatarUrl: 'http://tmp/x.png' } }, 'Alice')
        assert.equal(nickname, 'Alice')
        assert.equal((await fetch(auth.url(avatar))).headers.get('content-type'), 'image/jpeg')
        assert.equal(wire.count('POST /auth/profile'), 2)
      })
    }

    test(`a nickname, a logout and an erasure whose connection breaks (${cut}) are done`, async (t) => {
      const { wire, auth } = await newUser(t, patience)
      const { openid } = await auth.login()
      wire.next('POST /auth/profile', cut)
      assert.equal((await auth.setNickname({ detail: { value: 'Alice' } })).nickname, 'Alice')
      wire.next('POST /auth/logout', cut)
      await auth.logout()
      assert.equal((await site.sessions(openid)).length, 0)
      await auth.login()
      wire.next('DELETE /auth/profile', cut)
      await auth.erase()
      assert.equal(auth.state, 'logged_out')
      await assert.rejects(site.service('GET', `users/-/${openid}`), /404/)
    })

    test(`a request whose connection breaks (${cut}) is repeated if that can do no harm`, async (t) => {
      const { wire, auth } = await newUser(t, patience)
      await auth.login()
      wire.next('GET /hello', cut)
      if (cut === 'silence') assert.equal((await failure(auth.request({ url: '/hello', ...patience }))).code, 'timeout')
      else assert.equal((await auth.request({ url: '/hello', ...patience })).statusCode, 200)
      for (const send of [() => auth.request({ url: '/order', method: 'POST', ...patience }), () => auth.request({ url: '/order', method: 'DELETE', ...patience })]) {
        wire.seen = []
        wire.next('', cut)
        const { code, status } = await failure(send())
        assert.deepEqual([code, status], [cut === 'silence' ? 'timeout' : 'network', undefined])
        assert.equal(wire.seen.length, 1)
      }
    })
  }

  test('a server that never answers gets a bounded number of requests', async (t) => {
    const { wire, auth } = await newUser(t, { timeout: 100 })
    wire.next('', 'silence', Infinity)
    for (const call of [() => auth.login(), () => auth.request({ url: '/x', timeout: 100 }), () => auth.bindPhone({ code: 'x' })]) {
      wire.seen = []
      assert.equal((await failure(call())).code, 'timeout')
      assert.ok(wire.seen.length <= 3, String(wire.seen))
    }
  })

  // An app that was in the background for a while: the server repeats no more answers.
  test('a login whose answer is out of reach takes another code', async (t) => {
    const { phone, wire, auth } = await newUser(t)
    wire.next('POST /auth/login', answer(401, {}, '{"error":"code_used"}'))
    await auth.login()
    assert.equal(phone.logins, 2)
    wire.next('POST /auth/login', answer(401, {}, '{"error":"code_invalid"}'), Infinity)
    assert.equal((await failure(auth.login({ force: true }))).code, 'code_invalid')
    assert.equal(phone.logins, 4)
  })

  test('a request that was sent before a logout does not bring its tokens back', async (t) => {
    for (const how of [400, 'late']) for (const [route, call] of [
      ['POST /auth/refresh', async (auth) => auth.token({ refused: await auth.token() })],
      ['POST /auth/phone', async (auth, name) => auth.bindPhone(await site.code(name, 'phone', '13800138000'))],
      ['POST /auth/profile', (auth) => auth.setNickname('Alice')],
      ['POST /auth/login', (auth) => auth.login({ force: true })],
    ]) {
      const { name, wire, auth } = await newUser(t, { timeout: 20000 })
      const { openid } = await auth.login()
      wire.next(route, how)
      wire.seen = []
      const late = failure(call(auth, name))
      while (!wire.count(route)) await pause(5)
      await auth.logout()
      assert.equal((await late).code, 'logged_out', route)
      assert.deepEqual([auth.state, auth.user], ['logged_out', null], route)
      assert.equal((await failure(auth.request({ url: '/hello' }))).code, 'logged_out', route)
      assert.equal((await site.sessions(openid)).length, 0, route)
    }
  })

  test('a phone number and a refresh that overlap leave a token with the number', async (t) => {
    for (const [slowPhone, slowRefresh] of [[0, 300], [300, 0], ['late', 'late'], [0, 'late'], ['late', 0]]) {
      const { name, wire, auth } = await newUser(t, { timeout: 20000 })
      const token = await auth.token()
      const detail = await site.code(name, 'phone', '13800138000')
      if (slowPhone) wire.next('POST /auth/phone', slowPhone)
      if (slowRefresh) wire.next('POST /auth/refresh', slowRefresh)
      await Promise.all([auth.bindPhone({ detail }), auth.token({ refused: token })])
      assert.equal(auth.user.phone, '13800138000')
      assert.equal((await auth.request({ url: '/orders/1' })).data.phone, '13800138000')
    }
  })

  test('two changes at once leave a user with both, in whichever order the answers come', async (t) => {
    const { name, wire, auth } = await newUser(t, { timeout: 20000 })
    await auth.login()
    wire.next('POST /auth/profile', 'late')
    await Promise.all([auth.setNickname('Alice'), auth.bindPhone(await site.code(name, 'phone', '13800138000'))])
    assert.deepEqual([auth.user.nickname, auth.user.phone], ['Alice', '13800138000'])
  })

  test('a change that was sent before a new login brings no token of the old session', async (t) => {
    const { phone, wire, auth } = await newUser(t, { timeout: 20000 })
    const { openid } = await auth.login()
    const [{ sid }] = await site.sessions(openid)
    wire.next('POST /auth/profile', 'late')
    const change = auth.setNickname('Alice')
    while (!wire.count('POST /auth/profile')) await pause(5)
    await auth.login({ force: true })
    await change
    await site.service('POST', `users/-/${openid}/logout`, { sid })
    assert.equal((await auth.request({ url: '/hello' })).data.openid, openid)
    assert.deepEqual([phone.logins, auth.user.nickname], [2, 'Alice'])
  })
})
