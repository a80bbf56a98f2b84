// Every page of the mini program, against a started site with the sandbox.
import assert from 'node:assert/strict'
import { after, before, beforeEach, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { Site } from '../../client/test/site.mjs'
import { answer } from '../../client/test/wire.mjs'
import { MiniProgram, until } from './app.mjs'

const dir = fileURLToPath(new URL('../../examples/miniprogram', import.meta.url))
const PHONE_BUTTON = 'getPhoneNumber|agreePrivacyAuthorization'
const PNG = Buffer.from('iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGP4DwABAQEAsTj2FAAAAABJRU5ErkJggg==', 'base64')

let site, users = 0
before(async () => { site = await Site.start('profile {\ncheck on\n}') })
after(() => site.close())
beforeEach(() => {
  site.wire.calm()
  site.wire.seen = []
})

// The mini program on a new user's phone, not opened yet.
function install(user = `page-${++users}`) {
  const app = new MiniProgram(dir, site.phone(user), site.url)
  return Object.assign(app, { user, phone: app.device.phone })
}

async function loggedIn() {
  const app = install()
  app.open('/pages/index/index')
  await until(app, (page) => page.text.includes('我的订单'), 'logged in')
  return app
}

async function withPhone(number = '13800138000') {
  const app = await loggedIn()
  await app.page.tap('手机号')
  await app.page.tap(PHONE_BUTTON, await site.code(app.user, 'phone', number))
  await until(app, (page) => page.path === 'pages/index/index' && page.text.includes('*'), 'phone bound')
  return app
}

const shows = (app, text) => until(app, (page) => page.text.includes(text), text)
const at = (app, name) => until(app, (page) => page.path === `pages/${name}/${name}`, name)

// No page may show what is for developers: English sentences, URLs, errMsg.
function forUsers(page) {
  const text = page.text.replace(/^只在开发时出现.*$/m, '')
  assert.doesNotMatch(text, /https?:|errMsg|:fail|[a-z]{2,} [a-z]{2,} [a-z]{2,}/, page.text)
}

test('it logs in silently, and once', async () => {
  const app = await loggedIn()
  assert.match(app.page.text, /还没有昵称\n未绑定手机号/)
  assert.deepEqual(site.wire.seen, ['POST /auth/login'])
  app.restart()
  await shows(app, '我的订单')
  assert.equal(app.phone.logins, 1)
})

for (const [name, code, want] of [
  ['in guest mode', 'the code is a mock one', 'invalid_request'],
  ['without accept_any_code', '0c3w7Ykl2QfX5h4bqWnl2Yo0d41w7YkR', 'code_invalid'],
]) {
  test(`the codes of DevTools ${name}: an error with a button and help, not a blank page`, async () => {
    const app = install()
    app.phone.loginCode = async () => code
    app.open('/pages/index/index')
    const page = await shows(app, want)
    forUsers(page)
    assert.match(page.text, /只在开发时出现/)
    app.phone.loginCode = async () => (await site.code(app.user)).code
    await page.tap('重试')
    await shows(app, '我的订单')
  })
}

test('offline: it says so, and works when the network is back', async () => {
  const app = install()
  app.phone.offline = true
  app.open('/pages/index/index')
  forUsers(await shows(app, '网络'))
  app.phone.offline = false
  await app.page.tap('重试')
  await shows(app, '我的订单')
})

for (const [name, response, want, retries] of [
  ['busy', answer(503, { 'Retry-After': 7, 'Content-Type': 'application/json' }, '{"error":"wechat_unavailable","error_description":"WeChat is busy today"}'), '请在 7 秒后再试', true],
  ['misconfigured', answer(502, { 'Content-Type': 'application/json' }, '{"error":"wechat_misconfigured","error_description":"its operator finds the reason","errcode":40164}'), 'wechat_misconfigured 40164', true],
  ['behind a broken proxy', answer(502, { 'Content-Type': 'text/html' }, '<html><h1>502 Bad Gateway</h1></html>'), '服务繁忙', true],
  ['a captive portal', answer(200, { 'Content-Type': 'text/html' }, '<html>please pay for the Wi-Fi</html>'), '公共 Wi-Fi', true],
  ['banned by WeChat', answer(403, { 'Content-Type': 'application/json' }, '{"error":"user_blocked","error_description":"WeChat does not let this user log in","errcode":40226}'), '微信限制了此账号', false],
]) {
  test(`a server that is ${name}`, async () => {
    const app = install()
    site.wire.next('POST /auth/login', response, 9)
    app.open('/pages/index/index')
    const page = await shows(app, want)
    forUsers(page)
    assert.equal(page.text.includes('重试'), retries)
  })
}

for (const [reason, want] of [['违反社区规定，3 天后恢复', '违反社区规定，3 天后恢复'], ['', '如有疑问，请联系客服']]) {
  test(`who is banned ${reason ? 'with' : 'without'} a reason reads why`, async () => {
    const app = await loggedIn()
    await site.service('PUT', `users/-/${app.auth.user.openid}/ban`, reason ? { reason } : {})
    await app.page.tap('我的订单')
    const page = await shows(app, want)
    forUsers(page)
    assert.ok(!page.text.includes('重试'))
  })
}

test('orders lead to the phone page, and back with the orders', async () => {
  const app = await loggedIn()
  await app.page.tap('我的订单')
  const page = await at(app, 'phone')
  await page.tap(PHONE_BUTTON, await site.code(app.user, 'phone', '13800138000'))
  site.wire.next('GET /orders/', answer(200, { 'Content-Type': 'application/json' }, '{"orders":["龙井茶","紫砂壶"]}'))
  await at(app, 'orders')
  await shows(app, '龙井茶\n紫砂壶')
  assert.deepEqual(app.device.toasts, ['已绑定'])
})

test('who does not want to give a phone comes back to a button and is not led there again', async () => {
  const app = await loggedIn()
  await app.page.tap('我的订单')
  await (await at(app, 'phone')).tap('暂不绑定')
  await at(app, 'orders')
  await shows(app, '去绑定')
  await app.page.tap('去绑定')
  await (await at(app, 'phone')).tap(PHONE_BUTTON, await site.code(app.user, 'phone', '13800138000'))
  await at(app, 'orders')
  await shows(app, '还没有订单') // the backend of these tests has none
})

test('the login page of a Wi-Fi is no empty list of orders', async () => {
  for (const text of ['<html>Please log in to our WiFi</html>', 'null', '']) {
    const app = await withPhone()
    site.wire.next('GET /orders/', answer(200, {}, text))
    await app.page.tap('我的订单')
    forUsers(await shows(app, '连接到的不是本服务'))
    await app.page.tap('重试')
    await shows(app, '还没有订单')
  }
})

test('a phone number is masked wherever it is shown', async () => {
  for (const [number, masked] of [['13800138000', '138******00'], ['+852 91234567', '852******67']]) {
    const app = await withPhone(number)
    assert.ok(app.page.text.includes(masked), app.page.text)
    await app.page.tap('手机号')
    assert.ok(app.page.text.includes(`已绑定 ${masked}`), app.page.text)
  }
})

test('one tap at a time: the phone button is off while one is under way', async () => {
  const app = await loggedIn()
  await app.page.tap('手机号')
  const { page } = app
  site.wire.next('POST /auth/phone', 300)
  const first = page.tap(PHONE_BUTTON, await site.code(app.user, 'phone', '13800138000'))
  await first
  assert.equal(await page.tap(PHONE_BUTTON, { code: 'second' }), 'disabled')
  await at(app, 'index')
  assert.equal(site.wire.count('POST /auth/phone'), 1)
})

for (const [name, got, want] of [
  ['the user says no', { errMsg: 'getPhoneNumber:fail user deny' }, '没有绑定'],
  ['the user says no on Android', { errMsg: 'getPhoneNumber:fail:user deny' }, '没有绑定'],
  ['the quota is used up', { errMsg: 'getPhoneNumber:fail', errno: 1400001 }, '暂时无法获取手机号'],
  ['the account lacks the ability', { errMsg: 'getPhoneNumber:fail no permission', errno: 102 }, '暂时无法获取手机号'],
  ['the app is banned', { errMsg: 'getPhoneNumber:fail user getPhoneNumber is blocked', errno: 1421102 }, '暂时无法获取手机号'],
  ['no consent to the guideline', { errMsg: 'getPhoneNumber:fail privacy permission is not authorized', errno: 104 }, '需要你的同意'],
  ['no consent in the coupled pop-up', { errMsg: 'getPhoneNumber:fail', errno: 103 }, '需要你的同意'],
  ['the guideline does not declare phones', { errMsg: 'getPhoneNumber:fail api scope is not declared in the privacy agreement', errno: 112 }, '暂时无法获取手机号'],
  ['a code that WeChat does not take', { code: 'made-up' }, '微信没有接受这次授权'],
]) {
  test(`the phone page when ${name}: words, and a way on`, async () => {
    const app = await loggedIn()
    await app.page.tap('手机号')
    await app.page.tap(PHONE_BUTTON, got)
    const page = await shows(app, want)
    forUsers(page)
    assert.equal(site.wire.count('POST /auth/phone'), got.code ? 1 : 0)
    assert.ok(!page.find(PHONE_BUTTON).attribute('disabled'))
    await page.tap('暂不绑定')
    await at(app, 'index')
  })
}

test('avatar and nickname', async () => {
  const app = await loggedIn()
  app.phone.files.set('http://tmp/a.png', PNG)
  await app.page.tap('头像和昵称')
  await app.page.tap('chooseAvatar', { avatarUrl: 'http://tmp/a.png' })
  await until(app, (page) => page.image(), 'a picture')
  assert.equal((await fetch(app.page.image())).headers.get('content-type'), 'image/jpeg')
  app.page.type('nickname', ' 小明 ')
  await app.page.tap('保存昵称')
  await until(app, () => app.device.toasts.length === 2, 'two toasts')
  assert.deepEqual(app.device.toasts, ['已保存', '已保存'])
  app.device.wx.navigateBack()
  await shows(app, '小明')
  assert.ok(app.page.image())
})

for (const [name, nickname, want] of [
  ['does not pass the content check', 'risky', '没有通过内容安全检查'],
  ['was emptied by WeChat', '', '请填写昵称'],
  ['nobody can see', '\u3164', '看不见的字符'],
]) {
  test(`a nickname that ${name}`, async () => {
    const app = await loggedIn()
    await app.page.tap('头像和昵称')
    app.page.type('nickname', nickname)
    await app.page.tap('保存昵称')
    forUsers(await shows(app, want))
    assert.equal(app.auth.user.nickname, undefined)
    assert.deepEqual(app.device.toasts, [])
  })
}

test('who is banned while editing reads that, not that the nickname is bad', async () => {
  for (const [ban, want] of [[{ reason: '违反社区规定' }, '违反社区规定'], [{}, '账号暂时无法使用']]) {
    const app = await loggedIn()
    await app.page.tap('头像和昵称')
    await site.service('PUT', `users/-/${app.auth.user.openid}/ban`, ban)
    app.page.type('nickname', '小明')
    await app.page.tap('保存昵称')
    forUsers(await shows(app, want))
  }
})

test('a nickname of a user whom WeChat has not seen for two hours takes a login', async () => {
  const app = await loggedIn()
  await app.page.tap('头像和昵称')
  site.wire.next('POST /auth/profile', answer(403, { 'Content-Type': 'application/json' }, '{"error":"denied","error_description":"call wx.login and try again","errcode":61010}'))
  app.page.type('nickname', '小明')
  await app.page.tap('保存昵称')
  await until(app, () => app.device.toasts.length === 1, 'saved')
  assert.deepEqual([app.auth.user.nickname, app.phone.logins], ['小明', 2])
})

test('a picture that is none, and a double tap on the avatar', async () => {
  const app = await loggedIn()
  app.phone.files.set('http://tmp/a.png', Buffer.from('no picture'))
  await app.page.tap('头像和昵称')
  await app.page.tap('chooseAvatar', { avatarUrl: 'http://tmp/a.png' })
  forUsers(await shows(app, '无法识别这张图片'))
  await app.page.tap('chooseAvatar', { errMsg: 'chooseAvatar:fail another chooseAvatar is in progress' })
  await until(app, (page) => !page.text.includes('无法识别'), 'nothing to read')
  assert.ok(!app.page.has('icon'))
})

test('who logs out stays so over a restart, on every page, until the button', async () => {
  const app = await withPhone()
  await app.page.tap('设置')
  await app.page.tap('退出登录')
  await at(app, 'index')
  await shows(app, '你已退出登录')
  for (const [page, want] of [['index', '你已退出登录'], ['orders', '还没有登录']]) {
    app.restart(`/pages/${page}/${page}`)
    await shows(app, want)
  }
  assert.equal(app.phone.logins, 1)
  await app.page.tap('去登录')
  await at(app, 'index')
  await app.page.tap('登录')
  await shows(app, '138******00')
  assert.equal(app.phone.logins, 2)
})

test('logging out on all devices asks first, and ends the other one', async () => {
  const app = await loggedIn(), other = install(app.user)
  other.open('/pages/index/index')
  await shows(other, '我的订单')
  await app.page.tap('设置')
  app.device.answers = [false, true]
  await app.page.tap('退出所有设备')
  await new Promise(setImmediate)
  assert.equal(app.auth.state, 'logged_in')
  await app.page.tap('退出所有设备')
  await at(app, 'index')
  await shows(app, '你已退出登录')
  assert.deepEqual(app.device.questions, ['退出所有设备？', '退出所有设备？'])
  await other.page.tap('我的订单')
  await at(other, 'phone') // it has logged in anew, which is what a logout from afar means here
  assert.equal(other.phone.logins, 2)
})

test('a logout that the server did not get is said, and told to it later', async () => {
  const app = await loggedIn()
  const { openid } = app.auth.user
  await app.page.tap('设置')
  site.wire.next('POST /auth/logout', 'before', 9)
  await app.page.tap('退出登录')
  const page = await shows(app, '本机已退出登录')
  forUsers(page)
  assert.equal((await site.sessions(openid)).length, 1)
  site.wire.calm()
  await page.tap('重试')
  await at(app, 'index')
  assert.equal((await site.sessions(openid)).length, 0)
})

test('erasing asks first, and leaves nothing', async () => {
  const app = await withPhone()
  await app.page.tap('设置')
  app.device.answers = [true]
  await app.page.tap('注销账号')
  await at(app, 'index')
  await shows(app, '你已退出登录')
  assert.deepEqual(app.device.questions, ['注销账号？'])
  await app.page.tap('登录')
  await shows(app, '未绑定手机号')
  assert.equal(app.auth.user.new, true)
})
