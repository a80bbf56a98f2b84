// A list that the server gives to users with a phone number alone.

const auth = require('../../auth.js')
const { problemOf, notOurs } = require('../../problem.js')

Page({
  data: {
    orders: /** @type {string[]} */ ([]),
    loaded: false,
    needsPhone: false,
    problem: /** @type {import('../../problem.js').Problem | null} */ (null),
  },

  asked: false,

  onShow() {
    return this.load() // also on the way back from the phone page
  },

  async load() {
    this.setData({ problem: null })
    try {
      const { data } = await auth.request({ url: '/orders/', auth: 'required' })
      if (data && typeof data === 'object') this.setData({ orders: data.orders || [], loaded: true, needsPhone: false })
      else this.setData({ problem: notOurs() })
    } catch (e) {
      const problem = problemOf(e)
      if (problem.code === 'phone_required') this.askForPhone()
      else this.setData({ problem })
    }
  },

  // Leads to the phone page once. Who comes back without a phone said no, and gets a button.
  askForPhone() {
    this.setData({ needsPhone: true })
    if (this.asked) return
    this.asked = true
    this.onBind()
  },

  onBind() {
    wx.navigateTo({ url: '/pages/phone/phone' })
  },
})
