// The mini program's half of wechatauth. Copy this file and wechatauth.d.ts, which is its manual. It needs `wx` alone.
//
// From the bottom: Device calls wx, Session has the tokens of one site, WechatAuth is for apps. Names with _ are private.

const REPLAY = 25000 // the server repeats its answer for 30 s: to a login, and to a refresh within its grace
const PHONE_REPLAY = 55000 // and for 60 s to a phone code
const UNANSWERED = ['timeout', 'network', 'interrupted'] // the server may have got the request
const MOST = 8 // of WeChat's ten requests at once; a login or renewal and a change of the user's data take the others

class WechatAuthError extends Error {
  constructor(code, description, more) {
    super(`${code}: ${description}`)
    Object.setPrototypeOf(this, WechatAuthError.prototype) // gone where a compiler makes ES5 of this
    Object.assign(this, { name: 'WechatAuthError', code, description }, more)
  }
}

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms))
const loggedOut = (more) => new WechatAuthError('logged_out', 'nobody is logged in until login() is called', more)

// --- answers ---

// WeChat leaves names in the case in which they came.
function headerOf({ header }, name) {
  const key = Object.keys(header || {}).find((k) => k.toLowerCase() === name)
  return key && String(header[key])
}

// uploadFile gives strings, and an app that asks for bytes gets the error in bytes.
function parsed(data) {
  try {
    const bytes = data instanceof ArrayBuffer && data.byteLength < 4096 && new Uint8Array(data)
    if (bytes) data = decodeURIComponent(escape(String.fromCharCode(...bytes))) // UTF-8
    return typeof data === 'string' ? JSON.parse(data) : data
  } catch (e) {
    return null
  }
}

// The error of an answer, whose body can be the server's, the backend's, or the HTML of a proxy in between.
function refusal(res) {
  const body = parsed(res.data) || {}, status = Number(res.statusCode) || undefined
  const code = typeof body.error === 'string' ? body.error : headerOf(res, 'x-auth-error') || `http_${status}`
  const text = typeof body.error_description === 'string' ? body.error_description : `the server answered ${status}`
  const after = headerOf(res, 'retry-after')
  const seconds = /^\d+$/.test(after) ? Number(after) : Math.ceil((Date.parse(after) - Date.parse(headerOf(res, 'date'))) / 1000)
  const retryAfter = seconds >= 0 ? seconds : undefined
  return new WechatAuthError(code, text, { status, retryAfter, errcode: body.errcode, rid: body.rid, response: res })
}

// Code, text, errno, and errMsg where some platforms send no errno. Texts vary and are localised, so errno goes first.
const FAILURES = [
  ['interrupted', 'WeChat stops requests in the background', [600003], /interrupted|suspend/],
  ['aborted', 'the task was aborted', [], /:fail abort/],
  ['timeout', 'no answer in time', [5], /time ?out|超时|逾時/i],
  ['too_frequent', 'WeChat limits these calls', [1003, 600007]],
  ['login_blocked', "WeChat has banned this app's login", [1402101]],
]
const CALLS = [...FAILURES, ['request_invalid', 'WeChat refuses the request as it is',
  [100, 101, 102, 600002, 600004, 600009, 600010, 600011], /domain list|invalid url/i]]
const BUTTONS = [
  ...FAILURES,
  ['phone_quota', 'the quota of phone numbers is used up', [1400001]],
  ['phone_blocked', "WeChat has banned this app's phone ability", [1421102]],
  ['phone_not_permitted', 'this account lacks the phone ability', [102], /no permission|没有权限/],
  ['privacy_refused', 'the user does not agree to the privacy guideline', [103, 104, 101102], /is not authorized/],
  ['privacy_undeclared', 'the privacy guideline does not declare this', [112, 101100], /not declared in the privacy/],
  ['privacy_banned', 'there is no privacy guideline, or one that collects nothing', [1025, 101101], /privacy api banned/],
]

function failure(known, e, otherwise) {
  const { errno, errMsg = String((e && e.message) || '') } = e || {}
  const [code, text] = known.find(([, , numbers]) => numbers.includes(errno)) ||
    known.find(([, , , pattern]) => pattern && pattern.test(errMsg)) || otherwise
  return new WechatAuthError(code, `${text} (${errMsg})`, { errno, errMsg })
}

// Why a button gave nothing. What is unknown is a no.
const no = (detail) => failure(BUTTONS, detail, ['cancelled', 'the user said no'])

const detailOf = (event) => (event && event.detail) || event || {}

// The part of a phone button's event that the server needs. The code is the newest way and the safest.
function phoneProof(event) {
  const { code, cloudID, encryptedData, iv } = detailOf(event)
  if (code) return { code }
  if (cloudID) return { cloudID }
  if (encryptedData && iv) return { encryptedData, iv }
  throw no(detailOf(event))
}

// --- wx ---

const devices = new WeakMap() // by wx

// What all clients in one app share: WeChat's limit of requests, and whether the app is in the background.
class Device {
  constructor(wx) {
    Object.assign(this, { wx, sessions: new Map(), running: 0, waiting: [], hidden: false, onShown: [] })
    if (!wx.onAppShow || !wx.onAppHide) return
    wx.onAppHide(() => { this.hidden = true })
    wx.onAppShow(() => {
      this.hidden = false
      this.onShown.splice(0).forEach((resume) => resume())
    })
  }

  call(name, options, onTask, otherwise) {
    return new Promise((success, fail) => {
      let task
      try {
        task = this.wx[name]({ ...options, success, fail })
      } catch (e) {
        fail(new WechatAuthError('request_invalid', `wx.${name} throws`, { errMsg: String(e) }))
      }
      if (task && task.then) task.then(success, fail) // Taro's is a promise too, whose rejection somebody must take
      if (task && onTask) onTask(task)
    }).catch(async (e) => { throw await this.failure(e, otherwise) })
  }

  // What a fail callback was given, as an error.
  async failure(e, otherwise = ['network', 'the connection failed']) {
    if (e instanceof WechatAuthError) return e
    const { networkType } = await new Promise((success) => {
      if (!this.wx.getNetworkType) success({})
      else this.wx.getNetworkType({ success, fail: success })
    })
    return failure(CALLS, e, networkType === 'none' ? ['offline', 'the phone has no network'] : otherwise)
  }

  // Runs `send` while less than `most` others run.
  async queued(most, send) {
    if (this.running < most) this.running++
    else await new Promise((resume) => this.waiting.push(resume)) // and takes the place of one that ended
    try {
      return await send()
    } finally {
      if (this.waiting.length) this.waiting.shift()()
      else this.running--
    }
  }

  // Repeats what got no answer, as often as `repeats` says, and once what the server asks to repeat soon.
  async persist(send, { repeats, maxWait, within = Infinity, codes = UNANSWERED }) {
    const began = Date.now()
    for (let repeated = 0, waited = 0; ;) {
      try {
        return await send()
      } catch (e) {
        const soon = e.retryAfter * 1000 <= maxWait // not so without retryAfter
        if ((e.status === 429 || e.status === 503) && soon && !waited++) await pause(e.retryAfter * 1000 + Math.random() * 300)
        else if (!codes.includes(e.code) || Date.now() - began > within || repeated++ >= repeats) throw e
        else if (e.code === 'interrupted' && this.hidden) await new Promise((resume) => this.onShown.push(resume))
        else await pause(300 * repeated * repeated)
      }
    }
  }
}

// --- tokens ---

// Time is the phone's own, since the answer came: the server's clock may be another. One that was put back says nothing.
const grant = (token, seconds) => ({ token, at: Date.now(), life: (seconds >= 0 ? seconds : 3600) * 1000 })
const isToken = (t) => typeof t === 'string' && /^[!-~]+$/.test(t) // which ends no header
const isGrant = (g) => Boolean(g && isToken(g.token) && g.at > 0 && g.life >= 0)
const age = (g) => Date.now() - g.at
const lives = (g, ahead = 0) => Boolean(g) && age(g) >= 0 && age(g) < g.life - ahead
const random = () => Math.random().toString(36).slice(2)

// The tokens of one site, shared by all its clients.
class Session {
  constructor(device, options) {
    Object.assign(this, options, { device, listeners: new Set(), renewal: null, editing: Promise.resolve(), notified: '' })
    // Late answers are known by `leaves`, the number of logouts, `epoch`, which changes at a login too, and `edits`, at a
    // change of the user's data.
    Object.assign(this, { epoch: 0, edits: 0, futile: 0, renewed: 0, kept: { rev: 0, leaves: 0, user: null, ending: [] } })
  }

  get state() {
    if (this.kept.out) return 'logged_out'
    return this.kept.access || this.kept.refresh ? 'logged_in' : 'anonymous'
  }

  // Takes over what another copy of this file, as in an independent subpackage, has stored since.
  sync() {
    let stored
    try {
      stored = this.device.wx.getStorageSync(this.storageKey)
    } catch (e) { /* as if there were nothing */ }
    if (!stored || !(stored.rev > this.kept.rev)) return
    const { rev, leaves, access, refresh, user, out, spent, ending } = stored
    if (leaves !== this.kept.leaves) this.epoch++
    this.kept = {
      rev, leaves: Number(leaves) || 0, out: out === true, spent: Number(spent) || 0,
      access: isGrant(access) ? access : null, refresh: isGrant(refresh) ? refresh : null,
      user: user && typeof user.openid === 'string' ? user : null,
      ending: Array.isArray(ending) ? ending.filter((e) => e && e.refresh_token) : [],
    }
    this.notify()
  }

  save(change) {
    Object.assign(this.kept, change, { rev: Math.max(Date.now(), this.kept.rev + 1) })
    const { wx: app } = this.device
    try {
      app.setStorageSync(this.storageKey, { ...this.kept })
    } catch (e) { // these tokens live as long as the app; those of before must not come back after it
      try {
        app.removeStorageSync(this.storageKey)
      } catch (again) { /* nothing can be stored */ }
    }
    this.notify()
  }

  notify() {
    const now = { user: this.kept.user, state: this.state }, text = JSON.stringify(now)
    if (text === this.notified) return
    this.notified = text
    this.listeners.forEach((listener) => Promise.resolve(now).then(listener)) // what throws there harms nobody here
  }

  get bearer() {
    if (!this.kept.access) throw loggedOut()
    return this.kept.access.token
  }

  get hasPhone() { return Boolean(this.kept.user && this.kept.user.phone) }

  keep(answer) {
    const change = { access: grant(answer.access_token, answer.expires_in), user: answer.user }
    if (answer.refresh_token) {
      Object.assign(change, { refresh: grant(answer.refresh_token, answer.refresh_expires_in), spent: 0, out: false })
    }
    this.save(change)
  }

  drop(ending) {
    this.epoch++
    this.save({ leaves: this.kept.leaves + 1, out: true, access: null, refresh: null, user: null, ending })
  }

  // Sends a request to a route of wechatauth, which all can be asked again. Returns the answer with the tokens, or null
  // where 204 is the answer.
  // It follows no redirect, which could lead codes and tokens to another host.
  async own(path, { method = 'POST', data, token, upload, repeats = 2, within, before = () => {}, empty = false }) {
    const options = withToken(token, upload || { method, data, timeout: this.timeout, redirect: 'manual' }, this.base + path)
    const res = await this.device.persist(() => {
      before()
      return this.send(upload ? 'uploadFile' : 'request', options)
    }, { repeats, within, maxWait: this.maxWait })
    const body = parsed(res.data)
    if (empty && Number(res.statusCode) === 204) return null
    const { access_token: made, user } = body || {}
    if (!empty && isToken(made) && user && user.openid) return body
    const text = `what answers at ${this.base} is not wechatauth`
    throw new WechatAuthError('bad_answer', text, { status: res.statusCode }) // not the answer, which may hold tokens
  }

  async send(name, options, onTask) {
    const res = await this.device.call(name, options, onTask)
    if (res.statusCode >= 400) throw refusal(res)
    return res
  }

  // One login or renewal at a time; who comes meanwhile gets its result.
  once(make) {
    if (!this.renewal) this.renewal = make().finally(() => { this.renewal = null })
    return this.renewal
  }

  // Gets new tokens by a refresh if that can work, else by a login.
  renew({ ended = false } = {}) {
    return this.once(async () => {
      this.sync()
      const { kept: { out, refresh }, epoch } = this
      if (out) throw loggedOut()
      if (ended || !refresh || age(refresh) > refresh.life) return this.logIn()
      try {
        await this.refresh(refresh.token)
      } catch (e) {
        if (e.status !== 401 && e.status !== 400 && e.code !== 'refresh_reused') throw e
        if (epoch !== this.epoch) throw loggedOut()
        await this.logIn()
      }
    })
  }

  async refresh(token) {
    const { epoch, edits } = this
    const replaced = () => !this.kept.refresh || this.kept.refresh.token !== token // by another copy of this file
    let first // Only a refusal of the first try proves that the token is not spent.
    // A token that was sent longer ago, without an answer, would be taken for a stolen one. This mark outlives a restart.
    const before = () => {
      this.sync()
      const { spent } = this.kept, tooLate = spent && Math.abs(Date.now() - spent) > REPLAY
      if (tooLate || replaced()) throw new WechatAuthError('refresh_reused', 'this would seem so')
      first = !spent
      if (first) this.save({ spent: Date.now() })
    }
    const sent = this.own('/refresh', { data: { refresh_token: token }, within: REPLAY, before })
    const [answer, e] = await sent.then((body) => [body], (error) => [null, error])
    this.sync()
    if (epoch === this.epoch && replaced()) return
    if (e && first && e.status < 500 && epoch === this.epoch) this.save({ spent: 0 })
    if (e) throw e
    if (epoch !== this.epoch) throw loggedOut()
    // What the user gave meanwhile may be missing in this token.
    this.keep(edits === this.edits ? answer : { ...answer, access_token: this.bearer, user: this.kept.user })
  }

  // Logs in, with what a phone button gave if there is any.
  async logIn(proof = {}) {
    const { epoch } = this
    const more = proof.code ? { phone_code: proof.code } : { ...proof }
    if (this.appid) more.appid = this.appid
    let answer
    for (let again = true; !answer; again = false) {
      const data = { code: await this.code(), nonce: random() + random(), ...more }
      try {
        answer = await this.own('/login', { data, within: REPLAY })
      } catch (e) { // after a time in the background the code is too old, or the server no longer repeats its answer
        if (!again || (e.code !== 'code_used' && e.code !== 'code_invalid')) throw e
      }
    }
    this.sync()
    if (epoch !== this.epoch) { // a session that nobody knows of must not go on
      this.save({ ending: this.kept.ending.concat({ refresh_token: answer.refresh_token }) })
      await this.end().catch(() => {})
      throw loggedOut()
    }
    this.epoch++
    this.keep(answer)
    return answer
  }

  async code() {
    const failed = ['login_failed', 'wx.login gives no code'], codes = UNANSWERED.concat(failed)
    const call = () => this.device.call('login', { timeout: this.timeout }, null, failed)
    const { code, errMsg } = await this.device.persist(call, { repeats: 1, codes })
    if (!code) throw failure([], { errMsg }, failed)
    return code
  }

  // A token that is valid for a while. Unless one is needed, it can be ''.
  async token(needed) {
    const { access, out } = this.kept
    if (!out && access && lives(access, Math.min(60000, access.life / 5))) return access.token
    if (!needed && !this.renewal && this.state !== 'logged_in') return ''
    await this.renew().catch((e) => { if (!lives(this.kept.access)) throw e })
    return this.bearer
  }

  // Has a request sent with a token, and once more with another if it is refused; but never as another user than him
  // who was there when it was made.
  async authorized(needed, make, { leaves } = this.kept) {
    let failed
    const send = (token) => {
      if (token && leaves !== this.kept.leaves) throw loggedOut()
      return make(token)
    }
    const token = await this.token(needed).catch((e) => {
      if (needed || e.code === 'offline') throw e
      failed = e // public paths take any token, and by the server's clock this one may be valid
      return this.kept.access ? this.kept.access.token : ''
    })
    try {
      return await send(token)
    } catch (e) {
      if (!this.renewable(e)) throw e
      if (failed) throw failed
      const another = await this.another(token, e)
      if (e.status === 403 && !this.hasPhone) throw e
      const res = await send(another)
      this.futile = 0
      return res
    }
  }

  // Two codes are about WeChat's codes and not the token. A 403 may be of a token that lacks the phone the user has.
  renewable(e) {
    if (e.status === 403) return e.code === 'phone_required' && this.hasPhone
    return e.status === 401 && e.code !== 'code_invalid' && e.code !== 'code_used'
  }

  // A token in place of one that was refused. Where every token is refused, there are three a minute.
  async another(refused, e) {
    this.sync()
    if (this.kept.out && !this.renewal) throw loggedOut({ status: e.status, response: e.response })
    const { access } = this.kept
    if (access && access.token !== refused) return access.token
    const first = !this.renewal, since = Date.now() - this.renewed
    if (since < 0 || since > 60000) this.futile = 0
    if (first && this.futile >= 3) throw e
    await this.renew({ ended: e.code === 'session_revoked' })
    if (first) Object.assign(this, { futile: this.futile + 1, renewed: Date.now() })
    return this.bearer
  }

  // Changes the user's data: one change at a time, so that the last answer has them all.
  edit(path, options) {
    const { leaves } = this.kept
    const run = this.editing.then(async () => {
      let epoch
      const before = () => { epoch = this.epoch }
      const answer = await this.authorized(true, (token) => this.own(path, { ...options, token, before }), { leaves })
      this.sync()
      if (epoch === this.epoch) {
        this.edits++
        this.keep(answer)
      } else if (leaves !== this.kept.leaves) {
        throw loggedOut()
      } else { // the token of the login since may lack what changed
        this.save({ access: { ...this.kept.access, life: 0 } })
      }
      return answer.user
    })
    this.editing = run.catch(() => {})
    return run
  }

  // Has the server end what was logged out here.
  async end() {
    for (const { refresh_token, all } of this.kept.ending.slice()) {
      const done = () => {
        this.sync()
        this.save({ ending: this.kept.ending.filter((e) => e.refresh_token !== refresh_token) })
      }
      await this.own('/logout', { data: { refresh_token, all }, empty: true }).then(done, (e) => {
        if (e.status >= 400 && e.status < 429) done() // there is no such session
        throw e
      })
    }
  }
}

// --- for apps ---

class WechatAuth {
  constructor({
    baseURL, basePath = '/auth', appid, storageKey = 'wechatauth', timeout = 10000, maxWait = 5000, maxConcurrent = MOST,
    wx: app = typeof wx === 'undefined' ? null : wx,
  }) {
    if (!app || !app.request) throw new TypeError('wechatauth: hand in wx')
    const isURL = /^https?:\/\/[^/?#\\@\s]+(\/[^?#\\\s]*)?$/i.test(baseURL)
    if (!isURL) throw new TypeError('wechatauth: baseURL must be a URL without query')
    this._site = baseURL.replace(/\/+$/, '')
    this._most = Math.max(1, Math.min(maxConcurrent, MOST))
    if (!devices.has(app)) devices.set(app, new Device(app))
    this._device = devices.get(app)
    this._options = { appid, timeout, maxWait, storageKey, base: this._site + basePath.replace(/\/+$/, '') }
  }

  // Late, for an app is often not ready when it makes its client.
  get _session() {
    if (!this._found) {
      const { wx: app, sessions } = this._device, key = storageKeyOf(app, this._options)
      if (!sessions.has(key)) sessions.set(key, new Session(this._device, { ...this._options, storageKey: key }))
      this._found = sessions.get(key)
    }
    this._found.sync()
    return this._found
  }

  get user() { return this._session.kept.user }
  get state() { return this._session.state }
  get loggedIn() { return this.state === 'logged_in' }

  url(path) {
    return /^[a-z]+:\/\//i.test(path) ? path : this._site + (path[0] === '/' ? '' : '/') + path
  }

  on(event, listener) {
    if (event !== 'change') throw new TypeError(`wechatauth: there is no event ${event}`)
    const own = (now) => listener(now) // two pages may give the same function
    this._session.listeners.add(own)
    return () => { this._session.listeners.delete(own) }
  }

  async login({ phone, force = false } = {}) {
    const s = this._session, proof = phone && phoneProof(phone)
    while (s.renewal) await s.renewal.catch(() => {})
    s.sync()
    if (force || s.state !== 'logged_in' || !s.kept.user) return this._logIn(proof)
    return proof ? this.bindPhone(phone) : s.kept.user
  }

  async _logIn(proof) {
    const s = this._session
    const { phone_error: failed, user } = await s.once(async () => {
      await s.end().catch(() => {})
      return s.logIn(proof)
    })
    if (failed) throw refusal({ data: failed })
    return user
  }

  async bindPhone(event) {
    const s = this._session, proof = phoneProof(event)
    if (s.state === 'anonymous' && !s.renewal) return this._logIn(proof)
    try {
      return await s.edit('/phone', { data: proof, within: PHONE_REPLAY })
    } catch (e) {
      if (e.code === 'session_key_stale') await s.renew({ ended: true }).catch(() => {}) // for the next tap
      throw e
    }
  }

  async setAvatar(event, nickname) {
    const filePath = typeof event === 'string' ? event : detailOf(event).avatarUrl
    if (!filePath) throw no(detailOf(event))
    const upload = { filePath, name: 'avatar', formData: nickname ? { nickname } : {} }
    return this._session.edit('/profile', { upload, repeats: 1 })
  }

  async setNickname(event) {
    return this._session.edit('/profile', { data: { nickname: typeof event === 'string' ? event : detailOf(event).value } })
  }

  async erase() {
    const s = this._session
    await s.authorized(true, async (token) => {
      while (s.renewal) await s.renewal.catch(() => {}) // a login that ends after it would make the user anew
      const { leaves } = s.kept
      return s.once(() => s.own('/profile', { method: 'DELETE', token, empty: true }).then(() => {
        s.sync()
        if (leaves === s.kept.leaves) s.drop([])
      }))
    })
  }

  async logout({ all = false } = {}) {
    const s = this._session, { refresh, ending } = s.kept
    const sessions = (refresh ? [{ refresh_token: refresh.token }] : []).concat(ending)
    s.drop(all ? sessions.map((e) => ({ ...e, all })) : sessions)
    if (all && !sessions.length) throw loggedOut()
    return s.end()
  }

  async token({ refused } = {}) {
    const s = this._session, token = await s.token(true)
    return token === refused ? s.another(token, new WechatAuthError('token_invalid', 'refused', { status: 401 })) : token
  }

  async request(options) {
    return this._send('request', 'auto', /^(GET|HEAD|OPTIONS)$/i.test(options.method || 'GET') ? 1 : 0, options)
  }

  async uploadFile(options) { return this._send('uploadFile', 'required', 0, options) }
  async downloadFile(options) { return this._send('downloadFile', 'required', 1, options) }

  async _send(name, mode, repeats, { auth = mode, onTask, ...options }) {
    const { success, fail, complete } = options
    if (success || fail || complete) throw new WechatAuthError('request_invalid', 'there are no callbacks here')
    const s = this._session, url = this.url(options.url)
    const once = (token) => this._device.queued(this._most, () => s.send(name, withToken(token, options, url), onTask))
    const how = { repeats, maxWait: s.maxWait, codes: ['network', 'interrupted'] }
    const send = (token) => this._device.persist(() => once(token), how)
    return this._takesToken(auth, url, options) ? s.authorized(auth === 'required', send) : send('')
  }

  // The token goes to the own site alone, and nowhere where the app sends another.
  _takesToken(auth, url, options) {
    return auth !== 'none' && originOf(url) === originOf(this._site) && headerOf(options, 'authorization') === undefined
  }

  async connectSocket({ auth = 'required', onTask, ...options }) {
    const s = this._session, url = this.url(options.url)
    const open = (token) => this._open(withToken(token, options, url.replace(/^http/i, 'ws')), onTask)
    if (!this._takesToken(auth, url.replace(/^ws/i, 'http'), options)) return open('')
    const token = await s.token(auth === 'required')
    try {
      return await open(token)
    } catch (e) { // WeChat does not say whether it was the token
      const { access } = s.kept
      const young = access && access.token === token && lives(access, access.life - 10000)
      if (e.code !== 'socket_failed' || young) throw e
      return open(await s.another(token, e))
    }
  }

  _open(options, onTask) {
    return new Promise((resolve, reject) => {
      const made = this._device.wx.connectSocket({ ...options, success() {}, fail: reject })
      Promise.resolve(made).then((task) => { // Taro's is a promise
        if (!task) return
        if (onTask) onTask(task)
        task.onOpen(() => resolve(task))
        task.onError(reject)
        task.onClose(reject)
      }).catch(reject)
    }).catch(async (e) => { throw await this._device.failure(e, ['socket_failed', 'the WebSocket did not open']) })
  }
}

function withToken(token, options, url) {
  return { ...options, url, header: { ...options.header, ...(token && { Authorization: `Bearer ${token}` }) } }
}

function originOf(url) {
  const found = /^(https?:\/\/[^/?#\\]+)(?![^?#]*\\)/i.exec(url) // to some a backslash is a slash
  return found ? found[1].toLowerCase() : ''
}

// Tokens of one environment never reach another.
function storageKeyOf(wx, { storageKey, base, appid }) {
  let account = {}
  try {
    account = wx.getAccountInfoSync().miniProgram || {}
  } catch (e) { /* there are platforms without it */ }
  return [storageKey, base, appid || account.appId || '', account.envVersion || ''].join(':')
}

// For bundlers that take ES modules alone, such as Vite, this line becomes `export { WechatAuth, WechatAuthError }`.
if (typeof module !== 'undefined') module.exports = { WechatAuth, WechatAuthError }
