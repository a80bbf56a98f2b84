// The network between a phone and a site: it notes every request, and can be cut at each step of one.
import net from 'node:net'

export class Wire {
  #plans = []
  #server
  seen = [] // 'POST /auth/login', in order

  // Requests go to host:port, which can be changed.
  static async to(target) {
    const wire = new Wire()
    wire.target = target
    wire.#server = net.createServer((phone) => wire.#pass(phone))
    await new Promise((done) => wire.#server.listen(0, '127.0.0.1', done))
    wire.address = `127.0.0.1:${wire.#server.address().port}`
    wire.url = `http://${wire.address}`
    return wire
  }

  close() { this.#server.close() }

  // What becomes of the next requests whose 'METHOD /path' begins with `request`:
  //
  //   before   the connection breaks, and the server never gets the request
  //   after    the server gets the request and answers, and then the connection breaks
  //   middle   half of the answer comes
  //   silence  the server answers, and nothing arrives, ever
  //   late     the server answers, and that takes 400 ms to arrive
  //
  // or a text: the answer, in place of the server's; or a number: milliseconds until the server gets it; or a promise,
  // before whose end it does not.
  next(request, how, times = 1) {
    this.#plans.push({ request, how, times })
  }

  calm() { this.#plans = [] }

  count(request) { return this.seen.filter((s) => s.startsWith(request)).length }

  #plan(request) {
    if (this.plan) return this.plan(request) // a test that decides by itself
    const plan = this.#plans.find((p) => p.times > 0 && request.startsWith(p.request))
    if (plan) plan.times--
    return plan?.how
  }

  // A connection carries one request. Phones of the tests ask for that themselves.
  #pass(phone) {
    phone.on('error', () => {})
    phone.once('data', (data) => {
      const text = data.toString('latin1'), [request] = text.split(' HTTP/')
      const first = /\r\nconnection:/i.test(text) ? data : Buffer.from(text.replace('\r\n', '\r\nConnection: close\r\n'), 'latin1')
      this.seen.push(request)
      const how = this.#plan(request)
      if (how === 'before') return phone.destroy()
      if (typeof how === 'string' && how.startsWith('HTTP/')) return phone.end(how)
      phone.pause()
      const until = typeof how === 'number' ? new Promise((done) => setTimeout(done, how)) : Promise.resolve(how)
      until.then(() => this.#connect(phone, first, how))
    })
  }

  #connect(phone, first, how) {
    const server = net.connect({ host: '127.0.0.1', port: this.target.split(':')[1] }, () => {
      server.write(first)
      phone.pipe(server)
      if (how === 'after' || how === 'silence') server.once('data', () => { if (how === 'after') phone.destroy() }).resume()
      else if (how === 'middle') server.once('data', (answer) => phone.end(answer.subarray(0, answer.length / 2), () => phone.destroy()))
      else if (how === 'late') server.once('data', (answer) => setTimeout(() => phone.end(answer), 400))
      else server.pipe(phone)
    })
    server.on('error', () => phone.destroy())
    server.on('close', () => { if (how !== 'silence' && how !== 'late') phone.destroySoon?.() })
    phone.on('close', () => server.destroy())
  }
}

// An HTTP answer, for next().
export function answer(status, headers, body) {
  const lines = Object.entries({ 'Content-Length': Buffer.byteLength(body), Connection: 'close', ...headers })
  return `HTTP/1.1 ${status} X\r\n${lines.map(([name, value]) => `${name}: ${value}\r\n`).join('')}\r\n${body}`
}
