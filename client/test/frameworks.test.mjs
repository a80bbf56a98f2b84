// The same day of a user by WeChat's wx, by uni-app's uni and by Taro, which are handed in as they are.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { after, before, test } from 'node:test'
import vm from 'node:vm'
import ts from 'typescript'
import { WechatAuth, WechatAuthError } from '../wechatauth.js'
import { asModule, bundled, require, taroOf, uniOf } from './frameworks.mjs'
import { failure, pause, Site } from './site.mjs'
import { answer } from './wire.mjs'

const PIXEL = Buffer.from('iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGP4DwABAQEAsTj2FAAAAABJRU5ErkJggg==', 'base64')
const source = readFileSync(new URL('../wechatauth.js', import.meta.url), 'utf8')
const types = readFileSync(new URL('../wechatauth.d.ts', import.meta.url), 'utf8')
let site
before(async () => { site = await Site.start() })
after(() => site.close())

// The file as the developer tool makes ES5 of it.
function es5() {
  const target = ts.ScriptTarget.ES5, module = { exports: {} }
  const { outputText } = ts.transpileModule(source, { compilerOptions: { target } })
  new Function('module', outputText)(module)
  return module.exports
}

const now = { WechatAuth, WechatAuthError }
for (const [name, make, { WechatAuth, WechatAuthError }] of [['wx', (wx) => wx, now], ['ES5', (wx) => wx, es5()], ['uni', uniOf, now], ['Taro', taroOf, now]]) {
  test(name, async (t) => {
    const unhandled = []
    const note = (e) => unhandled.push(e)
    process.on('unhandledRejection', note)
    t.after(() => process.off('unhandledRejection', note))
    const phone = site.phone(`user of ${name}`)
    phone.files.set('http://tmp/x.png', PIXEL)
    const auth = new WechatAuth({ baseURL: site.url, wx: await make(phone.wx) })

    const all = await Promise.all(Array.from({ length: 12 }, (_, i) => auth.request({ url: `/n/${i}` })))
    const { openid } = auth.user
    assert.ok(all.every(({ data }) => data.openid === openid))
    assert.ok(phone.peak <= 10)
    assert.equal((await auth.request({ url: '/order', method: 'POST', data: { a: 1 } })).data.bytes, 7)
    site.wire.next('GET /hello', answer(401, { 'Content-Type': 'text/html' }, '<html>'))
    assert.equal((await auth.request({ url: '/hello' })).data.openid, openid)
    const e = await failure(auth.request({ url: '/orders/1' }))
    assert.ok(e instanceof WechatAuthError && e instanceof Error)
    assert.deepEqual([e.code, e.status, e.message], ['phone_required', 403, `phone_required: ${e.description}`])
    await auth.bindPhone({ detail: await site.code(`user of ${name}`, 'phone', '13800138000') })
    assert.equal((await auth.request({ url: '/orders/1' })).data.phone, '13800138000')
    await auth.setAvatar({ detail: { avatarUrl: 'http://tmp/x.png' } }, 'Alice')
    assert.equal(auth.user.nickname, 'Alice')
    const { tempFilePath } = await auth.downloadFile({ url: '/files/1' })
    assert.equal(JSON.parse(phone.files.get(tempFilePath)).openid, openid)
    const socket = await auth.connectSocket({ url: '/ws' })
    const { data } = await new Promise((done) => socket.onMessage(done))
    assert.equal(data, `hello ${openid}`)
    socket.close()

    phone.offline = true
    assert.equal((await failure(auth.request({ url: '/hello' }))).code, 'offline')
    phone.offline = false
    const later = auth.request({ url: '/hello?wait=100' })
    while (!phone.running.size) await pause(1)
    phone.hide()
    phone.show()
    assert.equal((await later).statusCode, 200)

    const again = new WechatAuth({ baseURL: site.url, wx: await make(phone.start()) })
    assert.equal((await again.request({ url: '/hello' })).data.openid, openid)
    assert.equal(phone.logins, 1)
    await again.logout()
    assert.equal(again.state, 'logged_out')
    await pause(10)
    assert.deepEqual(unhandled, [])
  })
}

test('the types have the methods and the codes of the file', () => {
  const [declared] = /^export class WechatAuth \{.*?^\}/ms.exec(types)
  const names = [...declared.matchAll(/^  (?:readonly )?(\w+)[(<:]/gm)].map(([, name]) => name)
  const made = Object.getOwnPropertyNames(WechatAuth.prototype).filter((name) => name[0] !== '_')
  assert.deepEqual([...new Set(names)].sort(), made.sort())
  const [union] = /^export type ClientCode =.*?^$/ms.exec(types)
  const codes = [...union.matchAll(/^  \| '(\w+)'/gm)].map(([, code]) => code)
  const thrown = [...source.matchAll(/(?:WechatAuthError\(|^ +\[|\? \[|: \[|\|\| \[|otherwise.*\[)'(\w+)'|\['(offline|network|cancelled|login_failed|socket_failed)'/gm)].map(([, a, b]) => a || b)
  const servers = ['refresh_reused', 'token_invalid']
  assert.deepEqual([...new Set(thrown)].filter((code) => !servers.includes(code)).sort(), codes.sort())
})

test('the file has no syntax of after ES2018', () => {
  const compiled = (target) => ts.transpileModule(source, { compilerOptions: { target, removeComments: true } }).outputText
  assert.equal(compiled(ts.ScriptTarget.ES2018), compiled(ts.ScriptTarget.ESNext))
})

test('the file is a CommonJS module, an ES module with another last line, and a script', async () => {
  assert.equal(require('../wechatauth.js').WechatAuth, WechatAuth)
  const app = "import { WechatAuth, WechatAuthError } from './wechatauth.js'\nexport { WechatAuth, WechatAuthError }"
  const made = await bundled('app', { app, './wechatauth.js': asModule() })
  assert.equal(made.WechatAuth.name, 'WechatAuth')
  const page = vm.createContext({ wx: site.phone('x').wx })
  vm.runInContext(source, page)
  assert.equal(vm.runInContext('new WechatAuth({ baseURL: "https://api.example.com" }).state', page), 'anonymous')
})
