// A stand-in for the wx of a mini program, as far as wechatauth.js uses it: codes come from the sandbox, requests go
// out by fetch, and what WeChat promises for them is kept: success for every status, uploads answered with text, no
// cookies, one file an upload.

/** Makes the wx of one user's phone. record is called with each exchange, changed after storage changes. */
export function makeWx({ user, record, changed }) {
  const prefix = `playground.${user}.`
  const files = new Map() // by the paths that the phone gives to pictures

  /** Calls success or fail, then complete, always later, as wx does. */
  const settle = (options, name, run) => {
    run().then(
      (result) => { options.success?.({ errMsg: `${name}:ok`, ...result }); options.complete?.(result) },
      (error) => {
        const failure = { errMsg: `${name}:fail ${error.message}`, errno: error.errno ?? 600001 }
        options.fail?.(failure)
        options.complete?.(failure)
      },
    )
  }

  /** Sends a request, and records it with what came back. */
  const send = async (options, init, shown, control) => {
    const started = Date.now()
    const clock = performance.now()
    const url = new URL(options.url)
    const entry = { lane: 'site', time: started, method: init.method, path: url.pathname + url.search, request: { headers: init.headers, body: shown } }
    let expired = false
    const timer = setTimeout(() => { expired = true; control.abort() }, options.timeout ?? 60_000)
    try {
      const response = await fetch(url, { ...init, credentials: 'omit', cache: 'no-store', signal: control.signal })
      const blob = await response.blob()
      Object.assign(entry, { status: response.status, took: performance.now() - clock })
      const header = Object.fromEntries(response.headers)
      const text = /json|text/.test(blob.type) ? await blob.text() : ''
      entry.response = { headers: header, body: parsed(text) }
      record(entry)
      return { statusCode: response.status, header, cookies: [], text, blob }
    } catch (cause) {
      const aborted = control.signal.aborted
      const error = new Error(expired ? 'timeout' : aborted ? 'abort' : 'net::ERR_CONNECTION')
      error.errno = expired ? 5 : aborted ? undefined : 600001
      record({ ...entry, took: performance.now() - clock, failed: error.message })
      throw error
    } finally {
      clearTimeout(timer)
    }
  }

  const withHeader = (given, standard) => {
    const headers = {}
    for (const [name, value] of Object.entries({ ...standard, ...given })) headers[name.toLowerCase()] = String(value)
    return headers
  }

  /** What the phone gets from WeChat, which the sandbox plays. */
  const askSandbox = async (call, body) => {
    const clock = performance.now()
    const entry = { lane: 'phone', time: Date.now(), method: '', path: call, request: { body } }
    const response = await fetch('/sandbox/codes', { method: 'POST', body: JSON.stringify({ user, ...body }) })
    const answer = await response.json()
    record({ ...entry, status: response.status, took: performance.now() - clock, response: { body: answer } })
    if (!response.ok) throw new Error(answer.error_description)
    return answer
  }

  const appListeners = (visible) => (listener) => {
    document.addEventListener('visibilitychange', () => { if (document.hidden !== visible) listener({}) })
  }

  return {
    login: (options) => settle(options, 'login', () => askSandbox('wx.login', { kind: 'login' })),

    request(options) {
      const control = new AbortController()
      const method = (options.method ?? 'GET').toUpperCase()
      const headers = withHeader(options.header, { 'content-type': 'application/json' })
      const url = new URL(options.url)
      let body
      if (options.data !== undefined && options.data !== null) {
        if (method === 'GET' && typeof options.data === 'object') {
          for (const [name, value] of Object.entries(options.data)) url.searchParams.set(name, value)
        } else {
          body = typeof options.data === 'object' && !(options.data instanceof ArrayBuffer) ? JSON.stringify(options.data) : options.data
        }
      }
      settle(options, 'request', async () => {
        const { text, blob, ...result } = await send({ ...options, url }, { method, headers, body }, parsed(body), control)
        if (options.responseType === 'arraybuffer') return { ...result, data: await blob.arrayBuffer() }
        return { ...result, data: (options.dataType ?? 'json') === 'json' ? parsed(text) : text }
      })
      return { abort: () => control.abort() }
    },

    uploadFile(options) {
      const control = new AbortController()
      settle(options, 'uploadFile', async () => {
        const file = files.get(options.filePath)
        if (!file) throw new Error('file not found')
        const form = new FormData()
        for (const [name, value] of Object.entries(options.formData ?? {})) form.append(name, String(value))
        form.append(options.name, file, 'picture')
        const headers = withHeader(options.header, {})
        delete headers['content-type']
        const shown = { ...options.formData, [options.name]: `(${file.type}, ${file.size} bytes)` }
        const { statusCode, text } = await send(options, { method: 'POST', headers, body: form }, shown, control)
        return { statusCode, data: text }
      })
      return { abort: () => control.abort() }
    },

    downloadFile(options) {
      const control = new AbortController()
      settle(options, 'downloadFile', async () => {
        const { statusCode, blob } = await send(options, { method: 'GET', headers: withHeader(options.header, {}) }, undefined, control)
        return { statusCode, tempFilePath: keep(blob) }
      })
      return { abort: () => control.abort() }
    },

    getStorageSync(key) {
      const text = localStorage.getItem(prefix + key)
      return text === null ? '' : JSON.parse(text)
    },
    setStorageSync(key, data) {
      localStorage.setItem(prefix + key, JSON.stringify(data))
      changed()
    },
    removeStorageSync(key) {
      localStorage.removeItem(prefix + key)
      changed()
    },

    getAccountInfoSync: () => ({ miniProgram: { envVersion: 'develop', version: '' } }),
    getNetworkType: (options) => settle(options, 'getNetworkType', async () => ({ networkType: navigator.onLine ? 'wifi' : 'none' })),
    onAppShow: appListeners(true),
    onAppHide: appListeners(false),

    // The rest are components, not functions: what their events carry.
    phoneButton: (phone) => askSandbox('getPhoneNumber', { kind: 'phone', phone })
      .then(({ code }) => ({ detail: { errMsg: 'getPhoneNumber:ok', code } })),
    phoneRefused: () => ({ detail: { errMsg: 'getPhoneNumber:fail user deny' } }),
    avatarButton: (blob) => ({ detail: { avatarUrl: keep(blob) } }),

    /** All that is stored, as text. */
    stored: () => Object.keys(localStorage).filter((key) => key.startsWith(prefix)).map((key) => localStorage.getItem(key)).join('\n'),
  }

  function keep(blob) {
    const path = `wxfile://tmp_${crypto.getRandomValues(new Uint32Array(2)).join('')}`
    files.set(path, blob)
    return path
  }
}

/** JSON as its value, other text as it is. */
function parsed(text) {
  if (typeof text !== 'string') return text
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}
