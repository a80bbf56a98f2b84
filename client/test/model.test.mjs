// Random interleavings of all calls, by seed: two copies of the client on one phone, a server in memory that keeps the
// rules of wechat_auth, a network that breaks, a clock that jumps. Time is made up, so that an hour takes milliseconds.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { WechatAuth, WechatAuthError } from '../wechatauth.js'

const TTL = 120e3, GRACE = 30e3

// Made-up time: timers fire in order as fast as can be. The phone's clock is `skew` away from the server's.
const clock = { now: 1e12, skew: 0, timers: [] }
Date.now = () => clock.now + clock.skew
globalThis.setTimeout = (run, ms = 0) => { clock.timers.push({ at: clock.now + ms, run }) }

async function settled(promise) {
  let done = false
  promise.then(() => { done = true })
  for (let idle = 0; !done;) {
    await new Promise((turn) => setImmediate(turn))
    if (done) return
    clock.timers.sort((a, b) => a.at - b.at)
    const next = clock.timers.shift()
    assert.ok(next || idle++ < 20, 'a call never ends')
    if (!next) continue
    idle = 0
    clock.now = Math.max(clock.now, next.at)
    next.run()
  }
}

// A generator of the same numbers for the same seed (mulberry32).
function random(seed) {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296
  }
}

const refused = (statusCode, error) => ({ statusCode, data: { error }, header: {} })

class Server {
  constructor() {
    Object.assign(this, { count: 0, sessions: [], access: new Map(), answers: new Map(), codes: new Map(), users: new Map(), thefts: 0, wrong: [] })
  }

  live(openid) { return this.sessions.filter((s) => s.live && (!openid || s.openid === openid)) }

  answer(session, refresh) {
    const token = `a${++this.count}`
    this.access.set(token, { session, until: clock.now + TTL })
    const more = refresh ? { refresh_token: session.refresh, refresh_expires_in: 1e6 } : {}
    return { statusCode: 200, header: {}, data: { access_token: token, expires_in: TTL / 1000, user: { openid: session.openid }, ...more } }
  }

  handle({ url, method = 'GET', data = {}, header = {} }) {
    const path = url.slice('https://x'.length)
    if (path === '/auth/login') return this.login(data)
    if (path === '/auth/refresh') return this.refresh(data.refresh_token)
    if (path === '/auth/logout') return this.logout(data)
    const given = this.access.get((header.Authorization ?? '').slice('Bearer '.length))
    if (!given) return path === '/public' ? { statusCode: 200, data: {}, header: {} } : refused(401, 'token_missing')
    const { session } = given
    if (!session.live) return refused(401, 'session_revoked')
    if (given.until < clock.now) return refused(401, 'token_expired')
    const by = data.by ?? data.nickname
    if (by && by !== session.openid) this.wrong.push(`${path} of ${by} as ${session.openid}`)
    if (!path.startsWith('/auth/')) return { statusCode: 200, data: { openid: session.openid }, header: {} }
    if (method !== 'DELETE') return this.answer(session)
    this.live(session.openid).forEach((s) => { s.live = false })
    this.users.delete(session.openid)
    return { statusCode: 204, data: '', header: {} }
  }

  login({ code, nonce }) {
    const key = `${code} ${nonce}`, known = this.answers.get(key)
    if (known && clock.now - known.at < 30e3) return known.answer
    const openid = this.codes.get(code)
    if (!openid) return refused(401, 'code_used')
    this.codes.delete(code)
    this.users.set(openid, true)
    const session = { openid, live: true, refresh: `r${++this.count}` }
    this.sessions.push(session)
    const answer = this.answer(session, true)
    this.answers.set(key, { at: clock.now, answer })
    return answer
  }

  refresh(token) {
    const session = this.sessions.find((s) => s.refresh === token || s.spent?.includes(token))
    if (!session?.live) return refused(401, 'refresh_invalid')
    if (session.refresh !== token && (session.previous !== token || clock.now - session.at > GRACE)) {
      this.thefts++
      session.live = false
      return refused(401, 'refresh_reused')
    }
    if (session.refresh === token) {
      Object.assign(session, { spent: [...(session.spent ?? []), token], previous: token, at: clock.now, refresh: `r${++this.count}` })
    }
    return this.answer(session, true)
  }

  logout({ refresh_token: token, all }) {
    const session = this.sessions.find((s) => s.refresh === token || s.spent?.includes(token))
    if (!session) return refused(401, 'refresh_invalid')
    for (const s of all ? this.live(session.openid) : [session]) s.live = false
    return { statusCode: 204, data: '', header: {} }
  }
}

const FAULTS = ['before', 'before', 'after', 'after', 'timeout', '<html>portal</html>', '429', '429 absurd', '503', '302', '401']
const ANSWERS = {
  429: { statusCode: 429, data: { error: 'rate_limited' }, header: { 'Retry-After': '1' } },
  '429 absurd': { statusCode: 429, data: '', header: { 'Retry-After': '9'.repeat(400) } },
  503: { statusCode: 503, data: '<html>503</html>', header: {} },
  302: { statusCode: 302, data: '', header: { Location: '//evil' } },
  401: { statusCode: 401, data: '<html>401</html>', header: {} },
}

// A phone whose app has two copies of the client. `person` is whose WeChat it is.
class Phone {
  constructor(next, server) {
    Object.assign(this, { next, server, storage: new Map(), person: 'A', rate: 0.25, requests: 0, codes: 0 })
    this.start()
  }

  start() {
    if (this.app) this.app.dead = true // the memory of the app is gone, and whatever waits there
    this.app = { dead: false }
    this.copies = [this.wx(this.app), this.wx(this.app)].map((wx) => new WechatAuth({ baseURL: 'https://x', wx }))
  }

  wx(app) {
    const call = (work) => ({ success, fail }) => { work((result) => { if (!app.dead) success(result) }, (e) => { if (!app.dead) fail(e) }) }
    const send = (options) => call((success, fail) => {
      this.requests++
      const fault = this.next() < this.rate && FAULTS[Math.floor(this.next() * FAULTS.length)]
      const wait = this.next() * 4000
      setTimeout(() => {
        const answer = fault === 'before' || ANSWERS[fault] || String(fault)[0] === '<' ? null : this.server.handle(options)
        setTimeout(() => {
          if (fault === 'timeout') fail({ errno: 5, errMsg: 'request:fail timeout' })
          else if (fault === 'before' || fault === 'after') fail({ errno: 600001, errMsg: 'request:fail' })
          else success(answer ?? ANSWERS[fault] ?? { statusCode: 200, data: fault, header: {} })
        }, wait)
      }, wait)
    })(options)
    return {
      login: call((success) => setTimeout(() => {
        const code = `c${++this.codes}`
        this.server.codes.set(code, this.person)
        success({ code })
      }, this.next() * 500)),
      request: send,
      uploadFile: ({ formData, ...options }) => send({ ...options, method: 'POST', data: formData }),
      getStorageSync: (key) => (this.storage.has(key) ? JSON.parse(this.storage.get(key)) : ''),
      setStorageSync: (key, data) => { if (!app.dead) this.storage.set(key, JSON.stringify(data)) },
    }
  }
}

// What apps do. Each call names the user for whom it is made.
const by = (auth) => (auth.user ? { by: auth.user.openid } : {})
const ACTIONS = [
  (auth) => auth.request({ url: '/do', method: 'POST', data: by(auth) }),
  (auth) => auth.request({ url: '/do', method: 'POST', data: by(auth) }),
  (auth) => auth.request({ url: '/me' }), (auth) => auth.request({ url: '/me', auth: 'required' }),
  (auth) => auth.request({ url: '/public' }),
  (auth) => auth.setNickname(by(auth).by ?? ''), (auth) => auth.setAvatar('x', by(auth).by),
  (auth) => auth.bindPhone({ code: 'p' }), (auth) => auth.token(), async (auth) => auth.token({ refused: await auth.token() }),
  (auth) => auth.login(), (auth) => auth.login(), (auth) => auth.login({ force: true }),
  (auth) => auth.logout(), (auth) => auth.logout({ all: true }), (auth) => auth.erase(),
  (auth, phone) => { // another person takes the phone
    const out = auth.logout()
    phone.person = phone.person === 'A' ? 'B' : 'A'
    return out
  },
  async (auth, phone) => { phone.server.live(phone.person).forEach((s) => { s.live = false }) },
  async (auth, phone) => { clock.skew += Math.round((phone.next() - 0.5) * 20 * 3600e3) },
]

async function play(seed) {
  const next = Math.random = random(seed), server = new Server(), phone = new Phone(next, server)
  Object.assign(clock, { skew: 0, timers: [] })
  let calls = 0
  for (let round = 0; round < 12; round++) {
    const app = phone.app, { requests } = phone
    if (!clock.timers.length) clock.now += next() * TTL
    const running = Array.from({ length: 4 }, async () => {
      await new Promise((done) => setTimeout(done, next() * 6000))
      if (phone.app !== app) return
      calls++
      await ACTIONS[Math.floor(next() * ACTIONS.length)](phone.copies[Math.floor(next() * 2)], phone).catch((e) => {
        assert.ok(e instanceof WechatAuthError, e.stack)
        assert.doesNotMatch(JSON.stringify(e), /"[ar]\d+"/)
      })
    })
    if (next() < 0.2) { // the app is closed in the middle of everything
      await settled(new Promise((done) => setTimeout(done, next() * 6000)))
      phone.start()
    } else {
      await settled(Promise.all(running))
    }
    assert.ok(phone.requests - requests <= 60, `${phone.requests - requests} requests for 4 calls`)
  }
  phone.rate = 0
  const [auth, copy] = phone.copies
  await settled(auth.login().then(async ({ openid }) => {
    assert.equal(copy.user.openid, openid)
    assert.equal((await copy.request({ url: '/me' })).data.openid, openid)
    await auth.logout()
    assert.deepEqual([copy.state, copy.user], ['logged_out', null])
    await assert.rejects(copy.request({ url: '/me' }), { code: 'logged_out' })
  }))
  assert.deepEqual(server.wrong, [])
  return { calls, requests: phone.requests, codes: phone.codes, thefts: server.thefts }
}

test('no interleaving acts as another user, looks like theft, hangs, or floods', async (t) => {
  const only = Number(process.env.WECHATAUTH_SEED)
  const total = { calls: 0, requests: 0, codes: 0, thefts: 0 }
  for (let seed = only || 1; seed <= (only || 300); seed++) {
    const played = await play(seed).catch((e) => { throw new Error(`WECHATAUTH_SEED=${seed}`, { cause: e }) })
    for (const name of Object.keys(total)) total[name] += played[name]
  }
  t.diagnostic(JSON.stringify(total))
  // Two copies share no lock: a token can be spent twice by one of them while a request of the other is on its way.
  assert.ok(total.thefts <= 1, `${total.thefts} refresh tokens seem stolen`)
})
