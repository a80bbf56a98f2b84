// Uses the playground as people do: by clicking, by keyboard, on a small screen, in both languages and colour schemes,
// while WeChat fails and Caddy restarts. Prints what was not as it should be.
//
//   node playground.mjs < questions.json
//
// url is the page, control stops and starts Caddy. Screenshots go into the folder screenshots, those of the READMEs into
// pictures, where they are named.
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { chromium } from 'playwright-core'

const { url, control, browser: executablePath, screenshots, pictures } = JSON.parse(readFileSync(0, 'utf8'))
const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')
const patience = 20_000
const failures = []
let checks = 0

function check(name, got, want) {
  checks++
  const [g, w] = [JSON.stringify(got), JSON.stringify(want)]
  if (g !== w) failures.push(`${name}: got ${g}, want ${w}`)
}

const browser = await chromium.launch({
  executablePath, headless: true, timeout: 60_000,
  args: ['--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
})

/** Opens the page in a browser of its own. What it complains about is a failure, but for answers that are errors. */
async function open(locale, colorScheme, viewport) {
  const context = await browser.newContext({ locale, colorScheme, viewport, reducedMotion: 'reduce' })
  context.setDefaultTimeout(patience)
  await context.exposeFunction('violated', (what) => failures.push(`content security policy: ${what}`))
  await context.addInitScript(() => {
    document.addEventListener('securitypolicyviolation', (e) => window.violated(`${e.violatedDirective} ${e.blockedURI} ${e.sourceFile}`))
  })
  const page = await context.newPage()
  page.on('pageerror', (error) => failures.push(`page error: ${error.stack}`))
  page.on('console', (message) => {
    const text = message.text()
    if (['error', 'warning'].includes(message.type()) && !text.startsWith('Failed to load resource')) failures.push(`console: ${text}`)
  })
  await page.goto(url)
  await page.waitForSelector('html[data-ready]')
  return page
}

const text = (page, selector) => page.locator(selector).innerText()
const code = (page) => page.evaluate(() => document.querySelector('#toast code')?.innerText ?? '')

/** Does something that the phone answers with a message, and waits for that. */
async function tapping(page, act) {
  await page.evaluate(() => document.getElementById('toast').replaceChildren())
  await act()
  await page.waitForSelector('.phone:not([aria-busy]):has(#toast > *)')
}

const tap = (page, selector) => tapping(page, () => page.click(selector))

/** Waits for an exchange in the inspector, of the newest tap. */
async function seen(page, name, lane, status, tap = 1) {
  const exchange = page.locator(`.tap:not([hidden]) >> nth=${tap - 1} >> li[data-lane="${lane}"][data-status="${status}"]`).first()
  const found = await exchange.waitFor({ state: 'attached', timeout: 20_000 }).then(() => true, () => false)
  check(`${name}: ${lane} ${status} in the inspector`, found, true)
}

async function flip(page, fault, on) {
  await page.click(`#${fault}`)
  await page.waitForSelector(`#${fault}[aria-checked="${on}"]`)
}

async function picture(page, name) {
  if (screenshots) await page.screenshot({ path: join(screenshots, `${name}.png`), fullPage: true })
}

/** Finds what a screen reader or a bad eye stumbles on, in both languages and colour schemes, and what is too wide. */
async function accessible(page, state) {
  await page.evaluate(axe)
  for (const scheme of ['light', 'dark']) {
    await page.emulateMedia({ colorScheme: scheme })
    for (let language = 0; language < 2; language++) {
      await page.evaluate(() => document.getElementById('language').click())
      const found = await page.evaluate(async () => {
        const { violations } = await window.axe.run(document, { resultTypes: ['violations'] })
        return violations.flatMap(({ id, nodes }) => nodes.map(({ target, any }) => `${id} ${target} ${any[0]?.message ?? ''}`))
      })
      check(`axe, ${state}, ${scheme}, ${await page.getAttribute('html', 'lang')}`, found, [])
      check(`texts, ${state}`, await page.evaluate(() => [...document.querySelectorAll('[data-i18n]')].filter((n) => n.textContent === n.dataset.i18n).map((n) => n.textContent)), [])
      await picture(page, `${state.replaceAll(' ', '-')}-${scheme}-${await page.getAttribute('html', 'lang')}`)
    }
  }
}

const faults = [
  ['busy', '503 wechat_unavailable (-1)', 'wechat', '-1'],
  ['minute_quota', '429 rate_limited (45011)', 'wechat', '45011'],
  ['day_quota', '429 rate_limited (45009)', 'wechat', '45009'],
  ['code_used', '401 code_used (40163)', 'wechat', '40163'],
  ['user_blocked', '403 user_blocked (40226)', 'wechat', '40226'],
  ['ip_not_allowed', '502 wechat_misconfigured (40164)', 'wechat', '40164'],
  ['hook_denies', '403 denied', 'hook', 'deny'],
]

/** The whole story by clicking. */
async function story() {
  const page = await open('zh-CN', 'light', { width: 1280, height: 860 })
  check('language of a Chinese browser', await text(page, '#login'), '登录')
  await accessible(page, 'not logged in')

  await tap(page, '#orders')
  check('orders without a login: logged in silently', await text(page, '#nickname'), '微信用户')
  check('orders without a phone', await code(page), '403 phone_required')
  await seen(page, 'silent login', 'site', '200')
  await seen(page, 'orders without a phone', 'site', '403')

  await page.click('#set-avatar')
  await accessible(page, 'choosing an avatar')
  await tap(page, '#samples button')
  await page.waitForFunction(() => document.querySelector('#avatar-image').naturalWidth > 0)
  await page.click('#set-nickname')
  await accessible(page, 'filling in the nickname')
  await page.fill('#nickname-input', '<img src=x onerror=alert(1)>')
  await tapping(page, () => page.keyboard.press('Enter'))
  check('a nickname is text', await text(page, '#nickname'), '<img src=x onerror=alert(1)>')
  await page.click('#set-nickname')
  await page.fill('#nickname-input', '小明同学')
  await tapping(page, () => page.keyboard.press('Enter'))
  await page.click('#orders-phone')
  await tap(page, 'dialog[open] [value=deny]')
  check('a no to the phone', await code(page), 'cancelled')
  await page.click('#orders-phone')
  await accessible(page, 'asked for the phone')
  await tap(page, 'dialog[open] [value=allow]')
  check('the phone', await text(page, '#phone-value'), '13800138000')
  await seen(page, 'the phone', 'wechat', 'ok')
  await seen(page, 'the phone', 'hook', 'allow')

  await tap(page, '#orders')
  check('orders', await page.locator('#order-list li').count(), 2)
  if (pictures) {
    await page.locator('#toast').evaluate((node) => node.classList.remove('shown'))
    await page.evaluate(() => document.activeElement.blur())
    await page.mouse.move(0, 0)
    for (const [name, language] of [['playground.zh-CN', 'zh-CN'], ['playground', 'en']]) {
      if (await page.getAttribute('html', 'lang') !== language) await page.evaluate(() => document.getElementById('language').click())
      await page.emulateMedia({ colorScheme: 'light' })
      await page.screenshot({ path: join(pictures, `${name}.png`) })
    }
    await page.evaluate(() => document.getElementById('language').click())
  }
  for (const summary of await page.locator('.tap:not([hidden]) summary').all()) await summary.click()
  await accessible(page, 'requests')
  await page.evaluate(() => document.querySelectorAll('details').forEach((node) => { node.open = false }))

  await page.click('#tab-token')
  check('the token', (await text(page, '#token tr:has(th:text-is("phone")) td')).split('\n')[0], '13800138000')
  await accessible(page, 'token')
  await page.click('#tab-backend')
  check('headers at the backend', await text(page, '#backend tr:has(code:text-is("X-Wx-Phone")) td'), '13800138000')
  await accessible(page, 'backend')
  await page.click('#tab-sessions')
  await page.waitForSelector('#sessions .badge')
  check('sessions', await page.locator('#sessions .sessions tbody tr').count(), 1)
  await accessible(page, 'sessions')
  await page.click('#tab-traffic')

  await page.click('#end-session')
  await page.waitForFunction(() => /会话已结束|Session ended/.test(document.querySelector('#toast').textContent))
  await tap(page, '#orders')
  await seen(page, 'a session that was ended', 'site', '401')
  check('a session that was ended: another login', await page.locator('#order-list li').count(), 2)

  await page.click('#expire')
  await page.waitForFunction(() => document.querySelector('#toast').textContent.includes('access_token'))
  await page.click('#set-phone')
  await tap(page, 'dialog[open] [value=allow]')
  check('the phone with an old access_token', await code(page), '')
  await seen(page, 'an old access_token', 'wechat', '42001')

  await flip(page, 'short_tokens', true) // which Caddy loads in its own time
  for (let life = 3600; life !== 10;) {
    await tap(page, '#orders')
    life = await page.evaluate(() => { const of = (name) => parseInt(document.querySelector(`#token tr[data-name=${name}] td`).textContent, 10); return of('exp') - of('iat') })
  }
  check('orders with a short-lived token', [await code(page), await page.locator('#order-list li').count()], ['', 2])
  await page.waitForFunction(() => document.querySelector('#expiry').textContent.match(/已过期|expired/))
  await tap(page, '#orders')
  check('orders with an expired token', [await code(page), await page.locator('#order-list li').count()], ['', 2])
  check('an expired token is renewed first', await page.locator('.tap:not([hidden]) >> nth=0 >> li[data-lane="site"]').allInnerTexts().then((rows) => rows.map((row) => row.match(/\/\S+/)[0])), ['/auth/refresh', '/orders/'])
  await flip(page, 'short_tokens', false)

  await page.click('#tab-sessions')
  await page.waitForSelector('#sessions tr:has(th:text-is("phone"))')
  await tapping(page, () => page.click('#push'))
  await page.waitForSelector('#sessions tr:has(th:text-is("openid"))')
  await page.waitForSelector('#sessions tr:has(th:text-is("phone"))', { state: 'detached' })
  await page.click('#tab-traffic')
  await seen(page, 'a push', 'push', 'ok')
  await tap(page, '#logout')
  await tap(page, '#login')
  check('the phone after it was taken back', await text(page, '#phone-value'), '去获取')
  await page.click('#set-phone')
  await tap(page, 'dialog[open] [value=allow]')

  for (const [fault, want, lane, status] of faults) {
    if (await page.isVisible('#logout')) await tap(page, '#logout')
    await flip(page, fault, true)
    await tap(page, '#login')
    check(`${fault}: login`, await code(page), want)
    await seen(page, fault, lane, status)
    if (fault === 'hook_denies') await accessible(page, 'failed')
    await flip(page, fault, false)
    await tap(page, '#login')
    check(`${fault}, mended`, [await code(page), await page.isVisible('#logout')], ['', true])
  }
  await flip(page, 'day_quota', true)
  await page.click('#set-phone')
  await tap(page, 'dialog[open] [value=allow]')
  check('day_quota: phone', await code(page), '429 rate_limited (45009)')
  await page.click('#mend')
  await page.waitForSelector('#day_quota[aria-checked="false"]')

  await fetch(`${control}/stop`)
  await page.waitForSelector('#connection.off')
  for (const button of ['busy', 'expire', 'push', 'end-session']) await page.click(`#${button}`)
  await accessible(page, 'without Caddy')
  await tap(page, '#orders')
  check('orders without Caddy', await code(page), 'network')
  await fetch(`${control}/start`)
  await page.waitForSelector('#connection:not(.off)')
  await tap(page, '#orders')
  check('orders after a restart', [await code(page), await page.locator('#order-list li').count()], ['', 2])
  await tap(page, '#logout')
  await tap(page, '#login')
  await seen(page, 'a login after a restart', 'wechat', 'ok')
  check('nickname after a restart', await text(page, '#nickname'), '小明同学')
  await page.reload()
  await page.waitForSelector('html[data-ready]')
  check('nickname after a reload', await text(page, '#nickname'), '小明同学')

  await page.selectOption('#owner', 'xiaohong')
  await page.waitForFunction(() => document.querySelector('#owner').value === 'xiaohong' && document.documentElement.dataset.ready)
  check("another person's phone", await page.isVisible('#login'), true)
  await page.selectOption('#owner', 'xiaoming')
  await page.waitForFunction(() => document.querySelector('#owner').value === 'xiaoming' && document.documentElement.dataset.ready)

  await tap(page, '#orders')
  await page.click('#erase')
  await accessible(page, 'deleting the account')
  await tap(page, 'dialog[open] [value=erase]')
  check('after the deletion', [await page.isVisible('#login'), await page.locator('#order-list').isVisible()], [true, false])
  await tap(page, '#login')
  check('the phone after the deletion', await text(page, '#phone-value'), '去获取')
  await tap(page, '#logout')
  await page.context().close()
}

/** The story again, by keyboard alone. */
async function keyboard() {
  const page = await open('en-GB', 'dark', { width: 1280, height: 860 })
  const press = (key) => page.keyboard.press(key)
  const reach = async (id) => {
    for (let i = 0; i < 80; i++) {
      if (await page.evaluate(() => document.activeElement.id || document.activeElement.value) === id) return
      await press('Tab')
    }
    check(`the way to ${id} by keyboard`, 'not reached', 'reached')
  }
  const focus = () => page.evaluate(() => document.activeElement.id)
  check('language of an English browser', await text(page, '#login'), 'Log in')
  await seen(page, 'of others', 'wechat', 'ok')
  check('the time of what others did', await page.locator('.tap time').count(), 0)
  await reach('login')
  await tapping(page, () => press('Enter'))
  check('focus after the login', await focus(), 'orders')
  await press('Enter')
  await page.waitForSelector('#phone-wanted:not([hidden])')
  await reach('orders-phone')
  await press('Enter')
  await press('Escape')
  check('focus after Escape', await focus(), 'orders-phone')
  await press('Enter')
  await page.evaluate(() => { // closed and opened again before the page gets the event that it closed
    document.querySelector('dialog[open]').close()
    document.getElementById('orders-phone').click()
  })
  await reach('allow')
  await tapping(page, () => press('Enter'))
  check('phone by keyboard', await text(page, '#phone-value'), '13800138000')
  check('focus after the phone', await focus(), 'orders')
  await reach('busy')
  await press('Space')
  await page.waitForSelector('#busy[aria-checked="true"]')
  await press('Space')
  await page.waitForSelector('#busy[aria-checked="false"]')
  await reach('tab-traffic')
  await press('ArrowRight')
  check('tabs by keyboard', await page.isVisible('#token'), true)
  await press('End')
  check('the last tab', await page.isVisible('#sessions'), true)
  await press('Home')
  await press('Tab')
  await press('Tab')
  await press('Enter')
  check('an exchange by keyboard', await page.locator('details[open]').count(), 1)
  await reach('logout')
  await tapping(page, () => press('Enter'))
  check('focus after the logout', await focus(), 'login')
  await page.context().close()
}

/** The page on a small phone. */
async function small() {
  const other = await open('zh-CN', 'light', { width: 360, height: 740 }) // of the same user
  await tap(other, '#login')
  const page = await open('zh-CN', 'light', { width: 360, height: 740 })
  const fits = async (state) => {
    check(`360 px, ${state}`, await page.evaluate(() => document.documentElement.scrollWidth), 360)
    await picture(page, `small-${state}`)
  }
  await fits('begin')
  await tap(page, '#orders')
  for (const summary of await page.locator('.tap:not([hidden]) summary').all()) await summary.click()
  await fits('requests')
  for (const tab of ['token', 'backend', 'sessions']) {
    await page.click(`#tab-${tab}`)
    await fits(tab)
  }
  const names = await page.locator('#sessions .sessions code').allInnerTexts()
  check('sessions by name', new Set(names).size, 2)
  check('360 px, the name of a time', await page.locator('.sessions .label').first().isVisible(), true)
  await page.click('#set-avatar')
  await fits('sheet')
  await page.context().close()
  await other.context().close()
}

/** A text 200 % and 400 % as large leaves the width of these, and nothing may go beyond it (WCAG 1.4.10). */
async function zoomed() {
  for (const width of [640, 320]) {
    const page = await open('en-GB', 'light', { width, height: 512 })
    await tap(page, '#login')
    for (const tab of ['traffic', 'token', 'backend', 'sessions']) {
      await page.click(`#tab-${tab}`)
      check(`${width} px, ${tab}`, await page.evaluate(() => document.documentElement.scrollWidth), width)
    }
    await page.context().close()
  }
}

/** Two people at one playground, and one whose browser has kept rubbish. */
async function others() {
  const [page, other] = [await open('en-GB', 'light', { width: 1280, height: 860 }), await open('zh-CN', 'dark', { width: 1280, height: 860 })]
  await flip(page, 'busy', true)
  await other.waitForSelector('#busy[aria-checked="true"]')
  await Promise.all([flip(page, 'busy', false), flip(other, 'day_quota', true)])
  await page.waitForSelector('#day_quota[aria-checked="true"]')
  await other.waitForSelector('#busy[aria-checked="false"]')
  await page.click('#mend')
  await other.waitForSelector('#day_quota[aria-checked="false"]')

  await tap(page, '#login')
  for (const spoil of [
    () => { for (const key of Object.keys(localStorage)) localStorage[key] = localStorage[key].replace(/eyJ[^"]*/, 'eyJx.eyJy.z') },
    () => { for (const key of Object.keys(localStorage)) localStorage[key] = '{{{' },
    () => { localStorage['playground.owner'] = 'toString' },
  ]) {
    await page.evaluate(spoil)
    await page.reload()
    await page.waitForSelector('html[data-ready]')
    await tap(page, '#orders')
    check(`orders after ${spoil}`, await code(page), '') // with the phone of the story by keyboard
  }

  for (let i = 0; i < 230; i++) await tap(page, '#orders')
  const [exchanges, taps] = await page.evaluate(() => [document.querySelectorAll('#traffic li').length, document.querySelectorAll('.tap').length])
  check('exchanges and taps that are kept are bounded', [exchanges <= 200, taps <= 201], [true, true])
  await Promise.all([page, other].map((p) => p.context().close()))
}

try {
  await story()
  await keyboard()
  await small()
  await zoomed()
  await others()
} catch (error) {
  failures.push(`gave up: ${error.stack}`)
} finally {
  await browser.close()
}
console.log(JSON.stringify({ checks, failures }))
