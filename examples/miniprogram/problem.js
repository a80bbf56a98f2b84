// What users read when something fails. The texts of errors are for developers, so users see none of them, except the
// reason that an operator wrote for a user who is kept out.

const { WechatAuthError } = require('./lib/wechatauth.js')

/**
 * @typedef {object} Problem
 * @property {string} code  For the customer service
 * @property {string} title
 * @property {string} text
 * @property {'retry' | 'login' | ''} action  What may help
 */

/** @typedef {[title: string, text: string, action?: 'retry' | 'login']} Words */

/** @type {Words} */
const BUSY = ['服务繁忙', '请稍后再试。', 'retry']
/** @type {Words} */
const BROKEN = ['服务暂时不可用', '问题出在我们这边，请把下面的代码告诉客服。', 'retry']
/** @type {Words} */
const LOST = ['网络不太稳定', '没有收到服务器的回答，请再试一次。', 'retry']
/** @type {Words} */
const SIGNED_OUT = ['登录已失效', '请重新登录。', 'login']
/** @type {Words} */
const NO_PHONE = ['暂时无法获取手机号', '不绑定也可以继续使用其他功能，需要帮助请联系客服。']
/** @type {Words} */
const CODE = ['微信没有接受这次授权', '请再试一次。', 'retry']

/**
 * The compiler checks that it has all codes that the client knows.
 * @type {Record<import('./lib/wechatauth').ClientCode | import('./lib/wechatauth').ServerCode, Words>}
 */
const WORDS = {
  offline: ['网络未连接', '请检查手机的网络设置。', 'retry'],
  timeout: LOST,
  network: LOST,
  interrupted: LOST,
  socket_failed: LOST,
  aborted: ['操作已取消', '', 'retry'],
  bad_answer: ['连接到的不是本服务', '如果正在使用需要登录的公共 Wi-Fi，请先完成它的登录。', 'retry'],
  request_invalid: BROKEN,
  internal: BROKEN,
  wechat_misconfigured: BROKEN,
  wechat_bad_answer: BROKEN,
  login_failed: ['微信登录没有成功', '请再试一次。', 'retry'],
  login_blocked: ['暂时无法登录', '微信限制了本小程序的登录，请联系客服。'],
  logged_out: ['还没有登录', '登录后才能查看。', 'login'],
  token_missing: SIGNED_OUT,
  token_invalid: SIGNED_OUT,
  token_expired: SIGNED_OUT,
  session_revoked: SIGNED_OUT,
  user_blocked: ['微信限制了此账号', '微信不允许这个账号登录，请到微信客户端查看原因。'],
  denied: ['账号暂时无法使用', '如有疑问，请联系客服。'],
  rate_limited: ['操作太频繁了', '请稍后再试。', 'retry'],
  too_frequent: ['操作太频繁了', '请稍后再试。', 'retry'],
  wechat_unavailable: BUSY,
  store_unavailable: BUSY,
  hook_unavailable: BUSY,
  auth_unavailable: BUSY,
  cancelled: ['你取消了这次操作', ''],
  privacy_refused: ['需要你的同意', '没有同意隐私保护指引，微信不会提供这项信息。改变主意的话，请在 10 秒后再点一次。'],
  privacy_undeclared: NO_PHONE,
  privacy_banned: NO_PHONE,
  phone_quota: NO_PHONE,
  phone_blocked: NO_PHONE,
  phone_not_permitted: NO_PHONE,
  phone_required: ['需要绑定手机号', '这项服务要用手机号联系你。'],
  code_invalid: CODE,
  code_used: CODE,
  session_key_stale: CODE,
  payload_too_large: ['图片太大', '请换一张小一些的图片。'],
  unsupported_media_type: ['无法识别这张图片', '请换一张 JPG 或 PNG 图片。'],
}

/**
 * @param {unknown} error
 * @returns {Problem}
 */
function problemOf(error) {
  if (!(error instanceof WechatAuthError)) throw error // a mistake in this code, for the console
  const { code, status = 0, errcode, retryAfter, description } = error
  const known = /** @type {Record<string, Words | undefined>} */ (WORDS)[code]
  const [title, text, action = ''] = known || (status === 429 || status >= 502 ? BUSY : BROKEN)
  /** @type {Problem} */
  const problem = { title, text, action, code: errcode ? `${code} ${errcode}` : code }
  // The server's own sentences are English, and a reason for a user is in his language.
  if (code === 'denied' && /[\u4e00-\u9fff]/.test(description)) problem.text = description
  else if (action && retryAfter) problem.text = `请在 ${retryAfter} 秒后再试。`
  return problem
}

/**
 * An answer to a page's own request that is no JSON, such as the login page of a public Wi-Fi.
 *
 * @returns {Problem}
 */
function notOurs() {
  const [title, text, action = ''] = WORDS.bad_answer
  return { title, text, action, code: 'bad_answer' }
}

module.exports = { problemOf, notOurs }
