// A phone: `wx` with WeChat's rules, for tests. It sends real requests.
//
//   const phone = new Phone({ loginCode: async () => '…' })
//   phone.wx, phone.hide(), phone.show(), phone.offline, phone.storage
import http from 'node:http'
import https from 'node:https'
import crypto from 'node:crypto'

const METHODS = ['OPTIONS', 'GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'TRACE', 'CONNECT'] // no PATCH
const MOST = 10 // requests, uploads and downloads at once
const KEY_LIMIT = 1 << 20 // of what one storage key holds

// What a fail callback gets.
const errors = {
  domain: { errno: 600002, errMsg: 'fail url not in domain list' },
  argument: { errno: 600009, errMsg: 'fail invalid url' },
  offline: { errno: 600001, errMsg: 'fail errcode:-106 cronet_error_code:-106 error_msg:net::ERR_INTERNET_DISCONNECTED' },
  interrupted: { errno: 600003, errMsg: 'fail interrupted' },
  timeout: { errno: 5, errMsg: 'fail timeout' },
  abort: { errMsg: 'fail abort' },
  broken: { errno: 600001, errMsg: 'fail errcode:-101 cronet_error_code:-101 error_msg:net::ERR_CONNECTION_RESET' },
}

export class Phone {
  constructor({ loginCode, appid = 'wx0123456789abcdef', envVersion = 'develop', domains = /./, ca, headerCase = (name) => name }) {
    Object.assign(this, { loginCode, appid, envVersion, domains, ca, headerCase })
    this.storage = new Map()
    this.storageBroken = false // nothing can be stored
    this.offline = false
    this.hidden = false
    this.files = new Map() // by path
    this.running = new Set() // of tasks
    this.waiting = []
    this.peak = 0
    this.logins = 0
    this.onShow = []
    this.onHide = []
    this.start()
  }

  // A new start of the app: its memory is gone, its storage is not.
  start() {
    this.wx = {
      login: (options) => this.#login(options),
      request: (options) => this.#send('request', options, (res, body) => this.#requestResult(options, res, body)),
      uploadFile: (options) => this.#upload(options),
      downloadFile: (options) => this.#send('downloadFile', { ...options, method: 'GET' }, (res, body) => {
        const path = options.filePath ?? `http://tmp/${this.files.size}`
        this.files.set(path, body) // whatever it is
        return { statusCode: res.statusCode, ...(options.filePath ? { filePath: path } : { tempFilePath: path }) }
      }),
      connectSocket: (options) => new SocketTask(this, options),
      getStorageSync: (key) => {
        if (this.storageBroken === 'for reading') throw new Error('getStorageSync:fail')
        return this.storage.has(key) ? JSON.parse(this.storage.get(key)) : ''
      },
      setStorageSync: (key, value) => {
        const text = JSON.stringify(value)
        if (this.storageBroken || text.length > KEY_LIMIT) throw new Error('setStorageSync:fail exceed storage max size')
        this.storage.set(key, text)
      },
      removeStorageSync: (key) => void this.storage.delete(key),
      getAccountInfoSync: () => ({ miniProgram: { appId: this.appid, envVersion: this.envVersion, version: '' } }),
      getNetworkType: ({ success }) => later(success, { networkType: this.offline ? 'none' : 'wifi', errMsg: 'getNetworkType:ok' }),
      onAppShow: (listener) => this.onShow.push(listener),
      onAppHide: (listener) => this.onHide.push(listener),
    }
    return this.wx
  }

  // The app goes to the background for longer than five seconds: what runs is interrupted, and nothing may begin.
  hide() {
    this.hidden = true
    this.onHide.forEach((listener) => listener())
    for (const task of [...this.running, ...this.waiting]) task.end(errors.interrupted)
  }

  show() {
    this.hidden = false
    this.onShow.forEach((listener) => listener({ scene: 1001, path: 'pages/index', query: {} }))
  }

  #login({ success, fail }) {
    this.logins++
    if (this.offline) return void later(fail, { errno: 108, errMsg: 'login:fail cgi failed for network issues' })
    this.loginCode().then((code) => success?.({ code, errMsg: 'login:ok' }), (e) => fail?.({ errMsg: 'login:fail', ...e }))
  }

  #requestResult({ dataType = 'json', responseType }, res, body) {
    const header = Object.fromEntries(Object.entries(res.headers).map(([name, value]) => [this.headerCase(name), String(value)]))
    let data = body.toString()
    if (responseType === 'arraybuffer') data = new Uint8Array(body).buffer
    else if (dataType === 'json') {
      try {
        data = JSON.parse(data)
      } catch { /* a string, whatever the content type says */ }
    }
    return { data, statusCode: res.statusCode, header, cookies: res.headers['set-cookie'] ?? [] }
  }

  // One file, and fields; who sets the content type breaks the boundary.
  #upload(options) {
    const boundary = crypto.randomUUID()
    const part = (head, body) => [`--${boundary}\r\ncontent-disposition: form-data; ${head}\r\n\r\n`, body, '\r\n']
    const file = this.files.get(options.filePath)
    const parts = Object.entries(options.formData ?? {}).flatMap(([name, value]) => part(`name="${name}"`, String(value)))
    parts.push(...part(`name="${options.name}"; filename="${options.filePath.split('/').pop()}"`, file ?? ''), `--${boundary}--\r\n`)
    const header = { 'content-type': `multipart/form-data; boundary=${boundary}`, ...options.header }
    return this.#send('uploadFile', { ...options, method: 'POST', header, body: Buffer.concat(parts.map((p) => Buffer.from(p))) },
      (res, body) => ({ statusCode: res.statusCode, data: body.toString() }))
  }

  #send(name, options, result) {
    const task = new Task(this, name, options, result)
    if (this.running.size < MOST) task.begin()
    else this.waiting.push(task)
    return task
  }
}

// A request under way: wx calls it RequestTask, UploadTask, DownloadTask.
class Task {
  constructor(phone, name, options, result) {
    Object.assign(this, { phone, name, options, result })
  }

  abort() {
    this.end(errors.abort)
  }

  onProgressUpdate() {}

  begin() {
    const { phone, options: { url, method = 'GET', timeout = 60000 } } = this
    phone.running.add(this)
    phone.peak = Math.max(phone.peak, phone.running.size)
    if (!METHODS.includes(method.toUpperCase()) || !/^https?:\/\//.test(url)) return this.end(errors.argument)
    if (!phone.domains.test(url)) return this.end(errors.domain)
    if (phone.hidden) return this.end(errors.interrupted)
    if (phone.offline) return this.end(errors.offline)
    this.timer = setTimeout(() => this.end(errors.timeout), timeout)
    const { target, body, headers } = this.#content(method.toUpperCase())
    const send = url.startsWith('https:') ? https.request : http.request
    this.request = send(target, { method, agent: false, headers, ca: phone.ca }, (res) => {
      const chunks = []
      res.on('data', (chunk) => chunks.push(chunk))
      res.on('error', () => this.end(errors.broken))
      res.on('end', () => this.end(null, this.result(res, Buffer.concat(chunks))))
    })
    this.request.on('error', () => this.end(errors.broken))
    this.request.end(body)
  }

  #content(method) {
    const { url, data, header = {}, body } = this.options
    const names = Object.keys(header).map((name) => name.toLowerCase())
    if (names.includes('referer')) throw new Error('Referer cannot be set')
    const headers = {
      ...(names.includes('content-type') ? {} : { 'content-type': 'application/json' }), ...header,
      Referer: `https://servicewechat.com/${this.phone.appid}/0/page-frame.html`,
    }
    if (body !== undefined) return { target: url, body, headers }
    if (data === undefined || data instanceof ArrayBuffer) return { target: url, body: data && Buffer.from(data), headers }
    if (typeof data === 'string') return { target: url, body: data, headers }
    if (method === 'GET') return { target: `${url}${url.includes('?') ? '&' : '?'}${new URLSearchParams(data)}`, headers }
    return { target: url, body: JSON.stringify(data), headers }
  }

  // Calls back once, and later.
  end(error, result) {
    if (this.ended) return
    this.ended = true
    clearTimeout(this.timer)
    this.request?.destroy()
    const { phone, name, options: { success, fail, complete } } = this
    phone.running.delete(this)
    phone.waiting = phone.waiting.filter((task) => task !== this)
    if (phone.waiting.length) phone.waiting.shift().begin()
    const answer = error ? { ...error, errMsg: `${name}:${error.errMsg}` } : { ...result, errMsg: `${name}:ok` }
    later(error ? fail : success, answer)
    later(complete, answer)
  }
}

// A WebSocket, as far as to say hello: text frames of less than 126 bytes.
class SocketTask {
  constructor(phone, { url, header = {}, success, fail, protocols = [] }) {
    this.listeners = { open: [], message: [], error: [], close: [] }
    if (!phone.domains.test(url)) return void later(fail, { ...errors.domain, errMsg: `connectSocket:${errors.domain.errMsg}` })
    later(success, { errMsg: 'connectSocket:ok' })
    const headers = {
      ...header, Connection: 'Upgrade', Upgrade: 'websocket', 'Sec-WebSocket-Version': '13',
      'Sec-WebSocket-Key': crypto.randomBytes(16).toString('base64'), Referer: `https://servicewechat.com/${phone.appid}/0/page-frame.html`,
    }
    if (protocols.length) headers['Sec-WebSocket-Protocol'] = protocols.join()
    const failed = (res) => {
      res?.resume()
      this.#tell('error', { errno: 605103, errMsg: 'WebSocket connect is fail' }) // no status
      this.#tell('close', { code: 1006, reason: 'abnormal closure' })
    }
    const target = url.replace(/^ws/, 'http')
    const request = (target.startsWith('https') ? https : http).request(target, { headers, agent: false, ca: phone.ca })
    request.on('response', failed).on('error', () => failed()).on('upgrade', (_, socket, head) => {
      this.socket = socket
      const read = (bytes) => bytes.length && this.#tell('message', { data: bytes.subarray(2, 2 + bytes[1]).toString() })
      socket.on('data', read).on('error', () => {}).on('close', () => this.#tell('close', { code: 1000 }))
      this.#tell('open', { header: {} })
      read(head)
    })
    request.end()
  }

  onOpen(listener) { this.listeners.open.push(listener) }
  onMessage(listener) { this.listeners.message.push(listener) }
  onError(listener) { this.listeners.error.push(listener) }
  onClose(listener) { this.listeners.close.push(listener) }

  send({ data }) {
    const bytes = Buffer.from(data), mask = crypto.randomBytes(4)
    this.socket.write(Buffer.concat([Buffer.from([0x81, 0x80 | bytes.length]), mask, bytes.map((b, i) => b ^ mask[i % 4])]))
  }

  close() { this.socket?.destroy() }

  #tell(event, result) {
    setImmediate(() => this.listeners[event].forEach((listener) => listener(result)))
  }
}

function later(callback, result) {
  if (callback) setImmediate(callback, result)
}
