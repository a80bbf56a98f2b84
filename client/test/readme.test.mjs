// The code of the READMEs, run.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { after, before, test } from 'node:test'
import { WechatAuth, WechatAuthError } from '../wechatauth.js'
import { asModule, bundled, file, taroOf, uniOf } from './frameworks.mjs'
import { Site } from './site.mjs'
import { answer } from './wire.mjs'

const PIXEL = Buffer.from('iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGP4DwABAQEAsTj2FAAAAABJRU5ErkJggg==', 'base64')
let site, users = 0
before(async () => { site = await Site.start() })
after(() => site.close())

function blocks(name) {
  const text = readFileSync(new URL(`../../${name}`, import.meta.url), 'utf8')
  return [...text.matchAll(/^```js\n(.*?)^```$/gms)].map(([, code]) => code.replaceAll('https://api.example.com', site.url))
}

function newPhone() {
  const name = `readme-${++users}`, phone = site.phone(name)
  phone.files.set('http://tmp/x.png', PIXEL)
  return { name, phone }
}

for (const readme of ['README.md', 'README.zh-CN.md']) {
  test(`${readme}: a page logs in, asks for the phone when it must, and takes an avatar and a nickname`, async () => {
    const [code, ...rest] = blocks(readme)
    assert.equal(rest.length, 0)
    const { name, phone } = newPhone()
    globalThis.wx = phone.wx
    let page, auth
    class Seen extends WechatAuth {
      constructor(options) {
        super(options)
        auth = this
      }
    }
    new Function('require', 'Page', code)(() => ({ WechatAuth: Seen }), (made) => { page = made })
    page.setData = (data) => Object.assign(page.data, data)
    await page.onLoad()
    assert.deepEqual(page.data, { order: null, needsPhone: true })
    await page.onPhone({ detail: { errMsg: 'getPhoneNumber:ok', ...await site.code(name, 'phone', '13800138000') } })
    assert.deepEqual([page.data.order.phone, page.data.needsPhone], ['13800138000', false])
    await page.onAvatar({ detail: { avatarUrl: 'http://tmp/x.png' } })
    await page.onNickname({ detail: { value: 'Alice' } })
    assert.ok(auth.user.avatar)
    assert.equal(auth.user.nickname, 'Alice')
    delete globalThis.wx
  })
}

for (const readme of ['client/README.md', 'client/README.zh-CN.md']) {
  test(`${readme}: errors, uni-app, Taro and luch-request`, async () => {
    const [errors, uniApp, taro, luch, ...rest] = blocks(readme)
    assert.equal(rest.length, 0)
    const client = { './wechatauth.js': asModule() }

    const { textOf } = await bundled('app', { app: errors })
    const text = (code, status) => textOf(new WechatAuthError(code, '', { status }))
    assert.equal(text('cancelled'), '')
    assert.ok(text('offline') && text('http_503', 503) === text('rate_limited', 429) && text('x') !== text('offline'))

    const app = newPhone()
    const uni = await uniOf(app.phone.wx)
    globalThis.uni = uni
    const { auth } = await bundled('app', { app: uniApp, ...client })
    assert.equal((await auth.request({ url: '/hello' })).data.openid, auth.user.openid)

    const { http } = await bundled('app', {
      app: luch, './auth.js': uniApp, ...client, 'luch-request': `export { default } from '${file('luch-request/src/lib/luch-request.js')}'`,
    })
    site.wire.seen = []
    site.wire.next('GET /n/', answer(401, { 'Content-Type': 'text/html' }, '<html>'), 5)
    const all = await Promise.all(Array.from({ length: 10 }, (_, i) => http.get(`/n/${i}`)))
    assert.ok(all.every(({ data }) => data.openid === auth.user.openid))
    assert.deepEqual([site.wire.count('POST /auth/refresh'), site.wire.count('GET /n/'), app.phone.logins], [1, 15, 1])
    site.wire.next('GET /hello', answer(401, {}, ''), 2)
    await assert.rejects(http.get('/hello'), { statusCode: 401 })

    const { phone } = newPhone()
    globalThis.Taro = await taroOf(phone.wx)
    const made = await bundled('app', { app: taro, '@tarojs/taro': 'export default Taro', ...client })
    assert.equal((await made.auth.request({ url: '/hello' })).data.openid, made.auth.user.openid)
  })
}

test('both languages have the same code', () => {
  const code = (name) => blocks(name).map((block) => block
    .replace(/(^|\s)\/\/ .*$/gm, '') // comments, and what users read
    .replace(/'[^'\n]*'/g, (text) => (/^'[\w./:@-]*'$/.test(text) ? text : "''")))
  for (const [en, zh] of [['README.md', 'README.zh-CN.md'], ['client/README.md', 'client/README.zh-CN.md']]) {
    assert.deepEqual(code(en), code(zh))
  }
})
