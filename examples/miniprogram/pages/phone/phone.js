// The page with the phone button. Each tap costs the operator money, so the button is off while one is under way.

const auth = require('../../auth.js')
const { sandbox } = require('../../config.js')
const privacy = require('../../privacy.js')
const { problemOf } = require('../../problem.js')
const { shown } = require('../../user.js')

Page({
  data: {
    phone: shown().phone,
    busy: false,
    declined: false,
    problem: /** @type {import('../../problem.js').Problem | null} */ (null),
    sandbox,
  },

  onLoad() {
    this.setData({ phone: shown().phone })
  },

  onAgree() {
    privacy.agree('phone-button')
  },

  onRead() {
    privacy.read()
  },

  /** @param {WechatMiniprogram.ButtonGetPhoneNumber} e */
  onPhone(e) {
    return this.bind(e)
  },

  /** Real numbers are not for test accounts, and the fake WeChat takes any code for one of its user. */
  onSandbox() {
    return this.bind({ detail: { code: `devtools${Date.now()}` } })
  },

  /** @param {import('../../lib/wechatauth').PhoneEvent} event */
  async bind(event) {
    if (this.data.busy) return
    this.setData({ busy: true, declined: false, problem: null })
    try {
      await auth.bindPhone(event)
      this.setData({ phone: shown().phone })
      wx.showToast({ title: '已绑定' })
      if (getCurrentPages().length > 1) wx.navigateBack()
    } catch (e) {
      const problem = problemOf(e)
      this.setData(problem.code === 'cancelled' ? { declined: true } : { problem })
    } finally {
      this.setData({ busy: false })
    }
  },

  onLater() {
    if (getCurrentPages().length > 1) wx.navigateBack()
    else wx.reLaunch({ url: '/pages/index/index' })
  },
})
