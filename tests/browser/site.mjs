// Reads the site of the documents as people do: on a phone and at a desk, in both languages and colour schemes. Prints
// what was not as it should be.
//
//   node site.mjs < questions.json
//
// url is the English front page, pages are addresses below it. Screenshots go into the folder screenshots, where it is named.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { chromium } from 'playwright-core'

const { url, pages, browser: executablePath, screenshots } = JSON.parse(readFileSync(0, 'utf8'))
const failures = []

function check(name, got, want) {
  const [g, w] = [JSON.stringify(got), JSON.stringify(want)]
  if (g !== w) failures.push(`${name}: got ${g}, want ${w}`)
}

const browser = await chromium.launch({
  executablePath, headless: true, timeout: 60_000,
  args: ['--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
})

/** Opens a page in a browser of its own. What it complains about, and what it asks of another host, is a failure. */
async function open(address, viewport, colorScheme = 'light') {
  const context = await browser.newContext({ viewport, colorScheme, reducedMotion: 'reduce' })
  context.setDefaultTimeout(60_000)
  const page = await context.newPage()
  page.on('pageerror', (error) => failures.push(`${address}: page error: ${error.stack}`))
  page.on('console', (message) => {
    if (['error', 'warning'].includes(message.type())) failures.push(`${address}: console: ${message.text()}`)
  })
  page.on('request', (request) => {
    if (!request.url().startsWith(url) && !request.url().startsWith('data:')) failures.push(`${address} asks for ${request.url()}`)
  })
  await visit(page, address)
  return page
}

/** Goes to a page and waits until it is alive. */
async function visit(page, address) {
  await page.goto(url + address)
  await page.waitForFunction(() => document.querySelector('#app')?.__vue_app__)
}

async function picture(page, name) {
  if (screenshots) await page.screenshot({ path: join(screenshots, `${name}.png`) })
}

/** Searches as one types, and returns the pages that are found. */
async function search(page, words) {
  await page.keyboard.press('Control+k')
  await page.fill('.VPLocalSearchBox input', words)
  await page.waitForSelector('.VPLocalSearchBox .result, .VPLocalSearchBox .no-results')
  await picture(page, `search-${words.replaceAll(' ', '-')}`)
  const found = await page.locator('.VPLocalSearchBox .result').evaluateAll((results) => results.map(({ pathname }) => pathname.split('/').pop()))
  await page.keyboard.press('Escape')
  return found
}

const phone = { width: 360, height: 740 }
const desk = { width: 1280, height: 860 }

// No page is wider than a phone.
{
  const page = await open('', phone)
  for (const address of pages.split(' ')) {
    await visit(page, address)
    check(`${address}: width on a phone`, await page.evaluate(() => document.documentElement.scrollWidth), phone.width)
    await picture(page, `phone-${address.replaceAll('/', '-')}`)
  }
}

// The search finds words of both languages, each on its own pages.
{
  const page = await open('', desk)
  for (const [words, want] of [['phone_required', 'paths.html'], ['seal key', 'operations.html']]) {
    const found = await search(page, words)
    check(`search for ${words}: ${found}`, found.includes(want), true)
  }
  check('search for what is nowhere', await search(page, 'zzzyyyxxx'), [])
  await visit(page, 'zh/')
  for (const [words, want] of [['退出登录', 'api.html'], ['隐私', 'review.html'], ['钩子', 'hook.html'], ['40164', 'faq.html']]) {
    const found = await search(page, words)
    check(`search for ${words}: ${found}`, found.includes(want), true)
  }
  check('search for Chinese that is nowhere', await search(page, '熊猫吃竹子'), [])
}

// The switch of languages leads to the same page, and back.
{
  const page = await open('keys.html', desk)
  const change = async (label) => {
    await page.hover('.VPNavBarTranslations')
    await page.click(`.VPNavBarTranslations a:has-text("${label}")`)
    await page.waitForFunction((label) => document.querySelector('.VPNavBarTranslations .title')?.textContent === label, label)
    return page.url().slice(url.length)
  }
  check('from English to Chinese', await change('简体中文'), 'zh/keys.html')
  check('language of the page', await page.getAttribute('html', 'lang'), 'zh-CN')
  check('from Chinese to English', await change('English'), 'keys.html')
}

// A page that does not exist explains itself.
{
  const page = await open('404.html', phone)
  await page.waitForSelector('.NotFound')
  check('page that is nowhere', await page.locator('.NotFound .quote').textContent(), 'The link may be wrong, or the page has moved.')
}

// The keyboard opens the search and leads to what it found.
{
  const page = await open('keys.html', desk)
  await page.keyboard.press('/')
  await page.fill('.VPLocalSearchBox input', 'redis')
  await page.waitForSelector('.VPLocalSearchBox .result.selected')
  const first = await page.getAttribute('.VPLocalSearchBox .result.selected', 'href')
  await page.keyboard.press('Enter')
  await page.waitForFunction((first) => location.pathname + location.hash === first, first)
}

// Pictures and diagrams are drawn, also in the dark.
for (const language of ['', 'zh/']) {
  for (const scheme of ['light', 'dark']) {
    const page = await open(`${language}guide.html`, desk, scheme)
    await page.waitForSelector('.diagram svg')
    check(`${language}guide.html: pictures`, await page.locator('.vp-doc img').evaluateAll((all) => Promise.all(all.map(async (image) => {
      await image.decode()
      return image.naturalWidth > 0
    }))), [true])
    check(`${language}guide.html: dark`, await page.evaluate(() => document.documentElement.classList.contains('dark')), scheme === 'dark')
    // The words of a diagram fit into its boxes.
    await visit(page, `${language}promises.html`)
    await page.waitForSelector('.diagram foreignObject')
    check(`${language}promises.html: words that are cut off`, await page.locator('.diagram foreignObject').evaluateAll((boxes) => boxes
      .filter((box) => box.firstElementChild?.scrollHeight > box.height.baseVal.value + 1).map(({ textContent }) => textContent)), [])
    for (const address of ['guide.html', '', 'options.html', 'faq.html', 'promises.html']) {
      if (!screenshots) break
      await visit(page, language + address)
      await page.waitForTimeout(500)
      await picture(page, `desk-${scheme}-${language.replace('/', '-')}${address || 'index'}`)
    }
  }
}

await browser.close()
console.log(JSON.stringify(failures))
