// Everything at once on a network that loses a third of all requests, with tokens that live for seconds.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { WechatAuth, WechatAuthError } from '../wechatauth.js'
import { pause, Site } from './site.mjs'
import { Wire } from './wire.mjs'

let site
before(async () => { site = await Site.start('token {\nttl 3s\n}') })
after(() => site.close())

// A generator of the same numbers for the same seed (mulberry32).
function random(seed) {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296
  }
}

const HOWS = ['before', 'after', 'middle', 'silence', 'late', 150]

describe('chaos', { concurrency: true }, () => {
  for (const seed of [1, 2, 3]) {
    test(`seed ${seed}`, async (t) => {
      const next = random(seed), name = `chaos-${seed}`
      const wire = await Wire.to(site.wire.target)
      t.after(() => wire.close())
      wire.plan = () => (next() < 0.35 ? HOWS[Math.floor(next() * HOWS.length)] : undefined)
      const phone = site.phone(name)
      let auth = new WechatAuth({ baseURL: wire.url, wx: phone.wx, timeout: 800 })
      let calls = 0
      const { openid } = await auth.login().catch(() => auth.login())
      const actions = [
        () => auth.request({ url: '/hello', timeout: 800 }), () => auth.request({ url: '/hello', timeout: 800 }),
        () => auth.request({ url: '/products/1', timeout: 800 }), () => auth.request({ url: '/order', method: 'POST', timeout: 800 }),
        () => auth.setNickname(`N${calls}`), () => auth.token(), () => auth.login({ force: next() < 0.3 }),
        async () => auth.bindPhone(await site.code(name, 'phone', '13800138000')),
        async () => { await site.service('POST', `users/-/${openid}/logout`) },
        async () => { auth = new WechatAuth({ baseURL: wire.url, wx: phone.start(), timeout: 800 }) }, // the app is closed and opened
      ]
      for (const until = Date.now() + 5000; Date.now() < until; await pause(next() * 60)) {
        calls += 3
        await Promise.all(Array.from({ length: 3 }, () => actions[Math.floor(next() * actions.length)]().catch((e) => {
          assert.ok(e instanceof WechatAuthError, e.stack)
          assert.ok(['network', 'timeout', 'code_invalid', 'session_revoked', 'token_expired'].includes(e.code), e.message)
        })))
      }
      wire.plan = undefined
      auth = new WechatAuth({ baseURL: wire.url, wx: phone.start() })
      assert.equal((await auth.request({ url: '/hello' })).data.openid, openid)
      await auth.bindPhone(await site.code(name, 'phone', '13800138000'))
      assert.equal((await auth.request({ url: '/orders/1' })).data.phone, '13800138000')
      assert.ok(wire.seen.length < calls * 8, `${wire.seen.length} requests for ${calls} calls`)
      assert.ok(phone.peak <= 10)
      t.diagnostic(`${calls} calls, ${wire.seen.length} requests, ${phone.logins} logins`)
    })
  }
})
