// Does in a browser what pages of several origins do to a site, and prints what came of it.
//
//   node browser.mjs < questions.json
//
// api is the site. Pages of the origin listed may use it, those of evil (another port of the same host) and of
// elsewhere (another host) may not. code logs a user in, recipe is the script of docs/web.md.
import { readFileSync } from 'node:fs'
import { chromium } from 'playwright-core'

const { api, listed, evil, elsewhere, code, recipe, browser: executablePath } = JSON.parse(readFileSync(0, 'utf8'))
const found = {}
const flags = [
  '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync',
]

const browser = await chromium.launch({ executablePath, headless: true, args: flags, timeout: 60_000 })
try {
  const context = await browser.newContext()
  context.setDefaultTimeout(60_000)

  const page = await context.newPage()
  await page.goto(listed)
  const login = await page.evaluate(async ([api, code]) => {
    const res = await fetch(`${api}/auth/login`, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify({ code }) })
    return { status: res.status, answer: await res.json() }
  }, [api, code])
  found.login = `${login.status} ${login.answer.user?.openid}`
  const token = login.answer.access_token
  found.refusal = await page.evaluate(async (api) => {
    const res = await fetch(`${api}/api/x`)
    return `${res.status} ${(await res.json()).error} ${res.headers.get('WWW-Authenticate')}`
  }, api)

  // The recipe, on a page that the mini program opened.
  const withRecipe = async (token) => {
    await page.goto('about:blank')
    await page.goto(`${listed}/#token=${token}`)
    await page.addScriptTag({ content: recipe.replace('https://api.example.com', api) })
  }
  await withRecipe('no-token')
  found['recipe error'] = await page.evaluate(() => request('GET', '/api/x').catch((e) => e.message))
  await withRecipe(token)
  found.get = await page.evaluate(() => request('GET', '/api/x'))
  found.post = await page.evaluate(() => request('POST', '/api/x', { a: 1 }))
  found.upload = await page.evaluate(async () => {
    const canvas = new OffscreenCanvas(8, 8)
    canvas.getContext('2d').fillRect(0, 0, 8, 8)
    const form = new FormData()
    form.append('avatar', await canvas.convertToBlob(), 'a.png')
    form.append('nickname', 'Alice')
    const { user } = await request('POST', '/auth/profile', form)
    return user.avatar ? user.nickname : 'no avatar'
  })

  const other = await context.newPage()
  await other.goto(evil)
  found['unlisted page'] = await other.evaluate(
    ([api, token]) => fetch(`${api}/api/x`, { headers: { Authorization: `Bearer ${token}` } }).then((res) => `${res.status}`, (e) => e.name),
    [api, token],
  )

  // From here on the token is in a cookie. Cookies know no ports: evil is a sibling that gets it sent along.
  const cookie = async () => {
    await context.clearCookies()
    const own = await context.newPage()
    await own.goto(`${api}/health`)
    await own.evaluate((token) => { document.cookie = `token=${token}; path=/` }, token)
    return own
  }
  const post = (page) => page.evaluate(async (api) => {
    const res = await fetch(`${api}/api/x`, { method: 'POST', credentials: 'include' })
    return `${res.status} ${await res.text()}`
  }, api)
  const own = await cookie()
  found['cookie, own page'] = await post(own)
  found['cookie, listed page'] = await post(page)

  const submit = async (origin, path) => {
    await cookie()
    const page = await context.newPage()
    await page.goto(origin)
    const answered = page.waitForResponse((res) => res.url().startsWith(api))
    await page.evaluate((action) => {
      const form = document.createElement('form')
      Object.assign(form, { action, method: 'POST', enctype: 'text/plain' })
      const field = document.createElement('input')
      Object.assign(field, { name: '{"nickname":"pwned","x":"', value: '"}' })
      form.append(field)
      document.body.append(form)
      form.submit()
    }, api + path)
    const res = await answered
    const sent = (await res.request().allHeaders()).cookie
    return `${res.status()} ${sent ? (await res.json()).error : 'no cookie was sent'}`
  }
  found["cookie, sibling's form, own route"] = await submit(evil, '/auth/profile')
  found["cookie, sibling's form, backend"] = await submit(evil, '/api/x')
  found['cookie, foreign form'] = await submit(elsewhere, '/auth/profile')

  const linked = await context.newPage()
  await linked.goto(elsewhere)
  await linked.evaluate((href) => { location.href = href }, `${api}/api/x`)
  await linked.waitForURL(`${api}/api/x`)
  found['cookie, link from elsewhere'] = `200 ${await linked.evaluate(() => document.body.innerText)}`
  found['nickname after it'] = await own.evaluate(async () => (await (await fetch('/auth/profile')).json()).nickname)
} finally {
  await browser.close()
}
console.log(JSON.stringify(found))
