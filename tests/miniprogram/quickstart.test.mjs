// The steps of examples/miniprogram/README.md: the quick start with accept_any_code, and WeChat's own codes, which
// nobody here knows.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { Phone } from '../../client/test/wx.mjs'
import { MiniProgram, until } from './app.mjs'

const root = fileURLToPath(new URL('../..', import.meta.url))
const home = mkdtempSync(join(tmpdir(), 'wechatauth-quickstart-'))
let caddy, url

before(async () => {
  // The documented ports may be taken.
  const ports = new Map()
  let text = readFileSync(join(root, 'Caddyfile.example'), 'utf8')
  for (const port of new Set(text.match(/:80\d\d\b/g))) ports.set(port, `:${await freePort()}`)
  text = text.replace(/:80\d\d\b/g, (port) => ports.get(port))
  assert.match(text, /^\t*# accept_any_code$/m)
  writeFileSync(join(home, 'Caddyfile'), text.replace('# accept_any_code', 'accept_any_code'))
  const env = { ...process.env, HOME: home, XDG_DATA_HOME: home, XDG_CONFIG_HOME: home }
  caddy = spawn(process.env.WECHATAUTH_CADDY, ['run', '--config', join(home, 'Caddyfile')], { env, stdio: ['ignore', 'ignore', 'pipe'] })
  let log = ''
  caddy.stderr.on('data', (data) => { log += data })
  url = `http://127.0.0.1${ports.get(':8080')}`
  while (!(await fetch(`${url}/health`).catch(() => null))?.ok) {
    if (caddy.exitCode !== null) throw new Error(log)
    await new Promise((done) => setTimeout(done, 50))
  }
})

after(async () => {
  const ended = new Promise((done) => caddy.once('exit', done))
  caddy.kill()
  await ended
  rmSync(home, { recursive: true, force: true })
})

async function freePort() {
  const server = createServer()
  await new Promise((done) => server.listen(0, '127.0.0.1', done))
  const { port } = server.address()
  await new Promise((done) => server.close(done))
  return port
}

test('a front-end developer sees the orders, with the codes of DevTools and a test account', async () => {
  const codes = ['0c3w7Ykl2QfX5h4bqWnl2Yo0d41w7YkR']
  const phone = new Phone({ loginCode: async () => codes.shift(), appid: 'wxffffffffffffffff' })
  const app = new MiniProgram(join(root, 'examples/miniprogram'), phone, url)
  app.open('/pages/index/index')
  await until(app, ({ text }) => text.includes('我的订单'), 'logged in')
  await app.page.tap('我的订单')
  await until(app, ({ path }) => path === 'pages/phone/phone', 'the phone page')
  await app.page.tap('getPhoneNumber|agreePrivacyAuthorization', { errno: 102, errMsg: 'getPhoneNumber:fail no permission' })
  await until(app, ({ text }) => text.includes('暂时无法获取手机号'), 'what a test account gets')
  await app.page.tap('绑定沙盒手机号')
  await until(app, ({ path }) => path === 'pages/orders/orders', 'the orders page')
  await until(app, ({ text }) => text.includes('龙井茶'), 'the orders')
})
