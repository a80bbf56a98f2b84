// Opens the mini program of docs/guide.md with a stand-in for WeChat, and taps what a user taps.
//
//   node guide.mjs <folder of the mini program> < <line for the Console, in place of a tap that gives a phone>
import { readFileSync } from 'node:fs'
import { randomBytes } from 'node:crypto'
import { dirname, join, resolve } from 'node:path'

const folder = resolve(process.argv[2])
const storage = new Map()

globalThis.wx = {
  login: ({ success }) => setTimeout(() => success({ errMsg: 'login:ok', code: randomBytes(16).toString('hex') })),
  // Like WeChat's: an answer of any status is a success, and nothing is returned that one could await.
  request({ url, method = 'GET', data, header, success, fail }) {
    const body = method === 'GET' || data === undefined ? undefined : JSON.stringify(data)
    fetch(url, { method, body, headers: { 'content-type': 'application/json', ...header } }).then(async (res) => {
      const text = await res.text()
      let answer = text
      try { answer = JSON.parse(text) } catch { /* no JSON: a string */ }
      success({ errMsg: 'request:ok', statusCode: res.status, data: answer, header: Object.fromEntries(res.headers) })
    }).catch((err) => fail({ errMsg: `request:fail ${err}` }))
    return { abort() {} }
  },
  uploadFile() { throw new Error('nothing is uploaded') },
  getStorageSync: (key) => storage.get(key) ?? '',
  setStorageSync: (key, value) => storage.set(key, value),
}

let app
globalThis.App = (options) => { app = options }
globalThis.getApp = () => app
let page
globalThis.Page = (options) => { page = { ...options, data: { ...options.data }, setData(data) { Object.assign(this.data, data) } } }

// WeChat takes every file for CommonJS.
function load(file) {
  const module = { exports: {} }
  const require = (name) => load(resolve(dirname(file), name))
  new Function('module', 'exports', 'require', readFileSync(file, 'utf8'))(module, module.exports, require)
  return module.exports
}

const [path] = JSON.parse(readFileSync(join(folder, 'app.json'), 'utf8')).pages
load(join(folder, 'app.js'))
load(join(folder, `${path}.js`))
const view = readFileSync(join(folder, `${path}.wxml`), 'utf8')
// tap does what the element does whose opening tag or text has the words.
const tap = (words, event) => {
  const tag = view.split('<').find((part) => part.includes(words))
  return page[/bind\w+="(\w+)"/.exec(tag)[1]](event)
}

await page.onLoad()
const products = page.data.products.length
await tap('我的订单')
const askedForPhone = page.data.needPhone
await tap('getPhoneNumber', { detail: { errMsg: 'getPhoneNumber:fail user deny' } })
const afterNo = page.data.orders.length
await tap('我的订单')
globalThis.getCurrentPages = () => [page]
await new Function(`return ${readFileSync(0, 'utf8')}`)()
console.log(JSON.stringify({ products, askedForPhone, afterNo, orders: page.data.orders.map((o) => o.phone), message: page.data.message }))
