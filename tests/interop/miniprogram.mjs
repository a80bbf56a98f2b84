// Runs the mini program's code from a README against a site, with a stand-in for what WeChat provides.
//
//   node miniprogram.mjs <file with the code> <site> '{"login": [<codes>], "phone": "<code>"}'
//
// Prints the status of each request that the code was asked to make.
import { readFileSync } from 'node:fs'

const [file, site, text] = process.argv.slice(2)
const codes = JSON.parse(text)
let expireNext = false
let loseNext = false // the answer to a login, after the server has made it

const wx = {
  async login() {
    return { errMsg: 'login:ok', code: codes.login.shift() }
  },
  // Like WeChat's: JSON is the default for POST, an answer of any status is a success, and nothing is returned
  // that one could await.
  request({ url, method = 'GET', data, header, success, fail }) {
    if (!url.startsWith('https://')) throw new Error(`the mini program may not call ${url}`)
    const body = method === 'GET' || data === undefined ? undefined : JSON.stringify(data)
    const headers = { 'content-type': 'application/json', ...header }
    if (expireNext) headers.Authorization = 'Bearer spoiled'
    expireNext = false
    fetch(site + new URL(url).pathname, { method, headers, body })
      .then(async (res) => {
        const answer = await res.text()
        if (loseNext && url.endsWith('/auth/login')) {
          loseNext = false
          throw { errMsg: 'request:fail timeout' }
        }
        const isJSON = (res.headers.get('content-type') ?? '').startsWith('application/json')
        success({ statusCode: res.status, data: isJSON ? JSON.parse(answer) : answer })
      })
      .catch(fail)
  },

  // The picture is a file on the phone, and the answer is a string.
  uploadFile({ url, filePath, name, header, formData = {}, success, fail }) {
    const form = new FormData()
    for (const [key, value] of Object.entries(formData)) form.append(key, value)
    const headers = expireNext ? { ...header, Authorization: 'Bearer spoiled' } : header
    expireNext = false
    form.append(name, new Blob([Buffer.from(png, 'base64')]), filePath.split('/').pop())
    fetch(site + new URL(url).pathname, { method: 'POST', headers, body: form })
      .then(async (res) => success({ statusCode: res.status, data: await res.text() }))
      .catch(fail)
  },
}

// One white pixel.
const png = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGP4DwABAQEAsTj2FAAAAABJRU5ErkJggg=='

const code = readFileSync(file, 'utf8')
const { request, onPhone, onAvatar } = new Function('wx', `${code}\nreturn { request, onPhone, onAvatar }`)(wx)

const statuses = []
const get = async (path) => statuses.push((await request('GET', path)).statusCode)

loseNext = true
await get('/hello') // logs in by itself, with a code that works once
await get('/orders/1')
await onPhone({ detail: { errMsg: 'getPhoneNumber:fail user deny' } })
await get('/orders/1')
await onPhone({ detail: { errMsg: 'getPhoneNumber:ok', code: codes.phone } })
await get('/orders/1')
expireNext = true
await get('/orders/1') // logs in again
expireNext = true
await onAvatar({ detail: { avatarUrl: 'http://tmp/x.png' } })
// An answer that is null, as a backend gives it for nothing, is no error of the token.
const original = wx.request
wx.request = ({ success }) => success({ statusCode: 200, data: null })
const nothing = (await request('GET', '/nothing')).data
wx.request = original
const { data: profile } = await request('GET', '/auth/profile')
const avatar = (await fetch(site + profile.avatar)).headers.get('content-type') === 'image/jpeg'
console.log(JSON.stringify({ statuses, loginCodesLeft: codes.login.length, avatar, nothing }))
