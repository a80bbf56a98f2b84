// The privacy pop-up, by WeChat's rules.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { pause, Site } from '../../client/test/site.mjs'
import { MiniProgram, until } from './app.mjs'

const dir = fileURLToPath(new URL('../../examples/miniprogram', import.meta.url))

let site, users = 0
before(async () => { site = await Site.start() })
after(() => site.close())

// The page of a user who has not agreed to the guideline yet.
async function undecided(page) {
  const app = new MiniProgram(dir, site.phone(`privacy-${++users}`), site.url)
  app.device.consented = false
  app.open('/pages/index/index')
  await until(app, ({ text }) => text.includes('我的订单'), 'logged in')
  assert.equal(app.device.onNeed instanceof Function, true)
  app.open(`/pages/${page}/${page}`)
  return app
}

const popUp = (app) => until(app, ({ text }) => text.includes('用户隐私保护提示'), 'the pop-up')
const gone = (app) => until(app, ({ text }) => !text.includes('用户隐私保护提示'), 'no pop-up')

test('the profile page asks before the nickname is typed, and shows the guideline', async () => {
  const app = await undecided('profile')
  const page = await popUp(app)
  await until(app, ({ text }) => text.includes('《示例隐私保护指引》'), "the guideline's own name")
  await page.tap('《示例隐私保护指引》')
  assert.equal(app.device.contracts, 1)
  await until(app, () => app.device.exposed === 1, 'WeChat knows of the pop-up')
  await page.tap('agreePrivacyAuthorization')
  await gone(app)
  assert.equal(app.device.consented, true)
})

test('one answer is for all calls that wait', async () => {
  const app = await undecided('profile')
  const page = await popUp(app)
  app.device.phone.files.set('http://tmp/a.png', Buffer.from('no picture'))
  const chosen = page.tap('chooseAvatar', { avatarUrl: 'http://tmp/a.png' })
  await until(app, () => app.device.exposed === 2, 'WeChat knows of the pop-up for both')
  await page.tap('agreePrivacyAuthorization')
  await chosen
  await until(app, ({ text }) => text.includes('无法识别这张图片'), "the server's answer to the upload")
})

test('who refuses can go on, and is not asked again for ten seconds', async () => {
  const app = await undecided('profile')
  const page = await popUp(app)
  await page.tap('拒绝')
  await gone(app)
  await page.tap('chooseAvatar', { avatarUrl: 'http://tmp/a.png' })
  await until(app, ({ text }) => text.includes('10 秒后'), 'when to try again')
  app.device.now += 10001
  const again = page.tap('chooseAvatar', { avatarUrl: 'http://tmp/a.png' })
  await popUp(app)
  await page.tap('拒绝')
  await again
})

test('who leaves the page with the question open has refused: the call must not hang', async () => {
  const app = await undecided('profile')
  const page = await popUp(app)
  const chosen = page.tap('chooseAvatar', { avatarUrl: 'http://tmp/a.png' })
  app.device.wx.navigateBack()
  await Promise.race([chosen, pause(5000).then(() => assert.fail('the call hangs'))])
  assert.equal(app.device.consented, false)
  assert.ok(!app.page.text.includes('用户隐私保护提示'))
})

test('the phone button is consent and number in one tap', async () => {
  const app = await undecided('phone')
  await app.page.tap('getPhoneNumber|agreePrivacyAuthorization', await site.code(`privacy-${users}`, 'phone', '13800138000'))
  await until(app, ({ text }) => text.includes('138******00'), 'the phone')
  assert.equal(app.device.consented, true)
})

test('a phone of before the gate', async () => {
  const app = new MiniProgram(dir, site.phone(`privacy-${++users}`), site.url)
  for (const name of ['onNeedPrivacyAuthorization', 'requirePrivacyAuthorize', 'getPrivacySetting', 'openPrivacyContract']) delete app.device.wx[name]
  app.load(`${dir}/privacy.js`, {}).start()
  app.open('/pages/phone/phone')
  await app.page.tap('《用户隐私保护指引》') // which cannot be shown, and must not throw
  app.open('/pages/profile/profile')
  app.page.type('nickname', '小明')
  await app.page.tap('保存昵称')
  await until(app, () => app.device.toasts.length === 1, 'saved')
})
