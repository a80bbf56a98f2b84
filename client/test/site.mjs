// A started Caddy: a site with wechat_auth, a backend that shows what it got, and the sandbox in place of WeChat.
import { execFileSync, spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import http from 'node:http'
import net from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Phone } from './wx.mjs'
import { Wire } from './wire.mjs'

export const APPID = 'wx0123456789abcdef'
const SERVICE = 'a-service-secret-of-more-than-32-characters'

export class Site {
  // The lines go into wechat_auth.
  static async start(lines = '') {
    const site = new Site()
    site.dir = mkdtempSync(join(tmpdir(), 'wechatauth-client-'))
    site.caddy = process.env.WECHATAUTH_CADDY ?? build(site.dir)
    site.backend = await backend()
    ;[site.port, site.sandboxPort] = [await freePort(), await freePort()]
    site.wechat = await Wire.to(`127.0.0.1:${site.sandboxPort}`) // between the site and WeChat
    site.wire = await Wire.to(`127.0.0.1:${site.port}`) // between phones and the site
    site.url = site.wire.url
    await site.run(lines)
    return site
  }

  async run(lines = '') {
    writeFileSync(join(this.dir, 'Caddyfile'), `{
      admin off
      persist_config off
      default_bind 127.0.0.1
      grace_period 1s
    }
    http://:${this.port} {
      wechat_auth {
        app ${APPID} sandbox-secret
        api ${this.wechat.url}
        limit login off
        limit phone off
        limit profile off
        public GET HEAD /health /products/*
        public POST /feedback
        optional /feed
        phone_required /orders/*
        service {
          secret ${SERVICE}
        }
        ${lines}
      }
      reverse_proxy 127.0.0.1:${this.backend.address().port}
    }
    http://:${this.sandboxPort} {
      wechat_sandbox {
        app ${APPID} sandbox-secret
      }
    }`)
    const env = { ...process.env, HOME: this.dir, XDG_DATA_HOME: join(this.dir, 'data'), XDG_CONFIG_HOME: join(this.dir, 'config') }
    this.log = ''
    this.process = spawn(this.caddy, ['run', '--config', join(this.dir, 'Caddyfile')], { env, stdio: ['ignore', 'ignore', 'pipe'] })
    this.process.stderr.on('data', (text) => { this.log += text })
    for (const began = Date.now(); ; await pause(20)) {
      const health = await fetch(`http://127.0.0.1:${this.port}/health`).catch(() => null)
      if (health?.ok) return
      if (Date.now() - began > 15000 || this.process.exitCode !== null) throw new Error(`Caddy does not start: ${this.log}`)
    }
  }

  // Ends Caddy: for a restart, `run` follows.
  async end() {
    const ended = new Promise((done) => this.process.once('exit', done))
    this.process.kill()
    await ended
  }

  async close() {
    await this.end()
    this.wire.close()
    this.wechat.close()
    this.backend.closeAllConnections()
    this.backend.close()
    rmSync(this.dir, { recursive: true, force: true })
  }

  async code(user, kind = 'login', phone) {
    const body = JSON.stringify({ user, kind, phone })
    const res = await fetch(`http://127.0.0.1:${this.sandboxPort}/sandbox/codes`, { method: 'POST', body })
    if (!res.ok) throw new Error(await res.text())
    return res.json()
  }

  phone(user, options) {
    return new Phone({ loginCode: async () => (await this.code(user)).code, ...options })
  }

  // What the backend may ask: revoke, ban, rotate keys.
  async service(method, path, body) {
    const res = await fetch(`http://127.0.0.1:${this.port}/auth/service/${path}`, {
      method, body: body && JSON.stringify(body), headers: { Authorization: `Bearer ${SERVICE}`, 'Content-Type': 'application/json' },
    })
    if (!res.ok) throw new Error(`${method} ${path}: ${res.status} ${await res.text()}`)
    return res.status === 204 ? null : res.json()
  }

  async sessions(openid) {
    return (await this.service('GET', `users/-/${openid}`)).sessions ?? []
  }
}

function build(dir) {
  const program = join(dir, 'caddy')
  execFileSync('go', ['build', '-o', program, './cmd/caddy'], { cwd: fileURLToPath(new URL('../..', import.meta.url)), stdio: 'inherit' })
  if (!existsSync(program)) throw new Error('go build made no program')
  return program
}

// Says who asked for what, and opens WebSockets whose first message says it, too.
async function backend() {
  const server = http.createServer(async (req, res) => {
    const url = new URL(req.url, 'http://backend')
    let bytes = 0
    for await (const chunk of req) bytes += chunk.length
    await pause(Number(url.searchParams.get('wait')))
    res.writeHead(Number(url.searchParams.get('status')) || 200, { 'Content-Type': 'application/json' })
    res.end(JSON.stringify({ method: req.method, path: req.url, openid: req.headers['x-wx-openid'], phone: req.headers['x-wx-phone'], bytes }))
  })
  server.on('upgrade', (req, socket) => {
    const key = createHash('sha1').update(`${req.headers['sec-websocket-key']}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64')
    const hello = Buffer.from(`hello ${req.headers['x-wx-openid']}`)
    socket.on('error', () => {})
    socket.write(`HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${key}\r\n\r\n`)
    socket.write(Buffer.concat([Buffer.from([0x81, hello.length]), hello]))
  })
  await new Promise((done) => server.listen(0, '127.0.0.1', done))
  return server
}

async function freePort() {
  const server = net.createServer()
  await new Promise((done) => server.listen(0, '127.0.0.1', done))
  const { port } = server.address()
  await new Promise((done) => server.close(done))
  return port
}

export const pause = (ms) => new Promise((done) => setTimeout(done, ms))

// The error that a promise rejects with.
export async function failure(promise) {
  const result = await promise.then((value) => ({ value }), (error) => ({ error }))
  if (!result.error) throw new Error(`got ${JSON.stringify(result.value)}, want an error`)
  return result.error
}
