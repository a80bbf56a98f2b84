// The form for avatar and nickname.

/** @typedef {import('../../lib/wechatauth').WechatAuthError} WechatAuthError */

const auth = require('../../auth.js')
const { problemOf } = require('../../problem.js')
const { shown } = require('../../user.js')

Page({
  data: {
    user: shown(),
    busy: false,
    hint: '',
    problem: /** @type {import('../../problem.js').Problem | null} */ (null),
  },

  onLoad() {
    this.setData({ user: shown() })
  },

  onReady() {
    // Without consent WeChat makes a plain input of the nickname's, and says nothing; so the question comes first.
    if (wx.requirePrivacyAuthorize) wx.requirePrivacyAuthorize({ fail() {} })
  },

  /** @param {WechatMiniprogram.CustomEvent<import('../../lib/wechatauth').AvatarDetail>} e */
  onAvatar(e) {
    return this.save(() => auth.setAvatar(e))
  },

  // Of a form and not of the input's events, since WeChat empties a nickname that fails its check after those.
  /** @param {WechatMiniprogram.FormSubmit} e */
  async onSubmit(e) {
    const nickname = String(e.detail.value.nickname || '').trim()
    if (!nickname) this.setData({ hint: '请填写昵称。如果填好后被清空，是微信没有让它通过，请换一个。' })
    else await this.save(() => this.setNickname(nickname))
  },

  /** @param {string} nickname */
  async setNickname(nickname) {
    try {
      await auth.setNickname(nickname)
    } catch (e) {
      // WeChat checks texts of users alone who were active in the last two hours, which a login makes them.
      if (/** @type {WechatAuthError} */ (e).errcode !== 61010) throw e
      await auth.login({ force: true })
      await auth.setNickname(nickname)
    }
  },

  /** @param {() => Promise<unknown>} change */
  async save(change) {
    if (this.data.busy) return
    this.setData({ busy: true, hint: '', problem: null })
    try {
      await change()
      this.setData({ user: shown() })
      wx.showToast({ title: '已保存' })
    } catch (e) {
      const problem = problemOf(e)
      // The code is that of users who are kept out, too.
      if (/content check/.test(/** @type {WechatAuthError} */ (e).description)) this.setData({ hint: '这个昵称没有通过内容安全检查，请换一个。' })
      else if (problem.code === 'invalid_request') this.setData({ hint: '昵称要有 1 到 32 个字，并且不含看不见的字符。' })
      else if (problem.code !== 'cancelled') this.setData({ problem })
    } finally {
      this.setData({ busy: false })
    }
  },
})
