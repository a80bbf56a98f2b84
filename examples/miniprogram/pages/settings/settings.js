// Logging out here and everywhere, and erasing the account.

const auth = require('../../auth.js')
const privacy = require('../../privacy.js')
const { problemOf } = require('../../problem.js')

Page({
  data: {
    busy: false,
    problem: /** @type {import('../../problem.js').Problem | null} */ (null),
  },

  work: () => Promise.resolve(),

  onLogout() {
    return this.end(() => auth.logout())
  },

  async onLogoutAll() {
    const { confirm } = await wx.showModal({ title: '退出所有设备？', content: '包括这一台。' })
    if (confirm) await this.end(() => auth.logout({ all: true }))
  },

  async onErase() {
    const { confirm } = await wx.showModal({
      title: '注销账号？',
      content: '手机号、头像和昵称会立即从服务器删除，所有设备都会退出，无法恢复。',
      confirmText: '注销',
      confirmColor: '#d9363e',
    })
    if (confirm) await this.end(() => auth.erase())
  },

  onRetry() {
    return this.end(this.work)
  },

  /** @param {() => Promise<void>} work */
  async end(work) {
    if (this.data.busy) return
    this.work = work
    this.setData({ busy: true, problem: null })
    try {
      await work()
      wx.reLaunch({ url: '/pages/index/index' })
    } catch (e) {
      const problem = problemOf(e)
      if (auth.state === 'logged_out' && problem.code !== 'logged_out') {
        problem.title = '本机已退出登录'
        problem.text = '服务器还没有收到，请稍后重试，让它也结束这次登录。'
      }
      this.setData({ problem })
    } finally {
      this.setData({ busy: false })
    }
  },

  onPrivacy() {
    privacy.read()
  },
})
