// The user as pages show him.

const auth = require('./auth.js')

/**
 * A phone number as WeChat wants it shown: the first three digits and the last two, of short ones the first two.
 * https://developers.weixin.qq.com/miniprogram/dev/framework/security.html
 *
 * @param {string} phone
 */
function masked(phone) {
  const digits = phone.replace(/\D/g, '')
  const first = digits.length < 10 ? 2 : 3
  return digits.slice(0, first) + '*'.repeat(Math.max(0, digits.length - first - 2)) + digits.slice(-2)
}

/** The texts of the user who is logged in, '' where there is nothing. */
function shown() {
  const { phone = '', nickname = '', avatar = '' } = auth.user || {}
  return { phone: phone && masked(phone), nickname, avatar: avatar && auth.url(avatar) }
}

module.exports = { shown, masked }
