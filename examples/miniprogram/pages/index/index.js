// The start page: logs in silently, and shows who that is.

const auth = require('../../auth.js')
const { sandbox } = require('../../config.js')
const { problemOf } = require('../../problem.js')
const { shown } = require('../../user.js')

Page({
  data: {
    state: auth.state,
    user: shown(),
    busy: false,
    sandbox,
    problem: /** @type {import('../../problem.js').Problem | null} */ (null),
  },

  stop() {},

  onLoad() {
    this.stop = auth.on('change', () => this.show())
    this.show()
    if (auth.state !== 'logged_out') this.login() // who logged out stays so
  },

  onUnload() {
    this.stop()
  },

  show() {
    this.setData({ state: auth.state, user: shown() })
  },

  async login() {
    if (this.data.busy) return
    this.setData({ busy: true, problem: null })
    try {
      await auth.login()
    } catch (e) {
      this.setData({ problem: problemOf(e) })
    } finally {
      this.setData({ busy: false })
    }
  },
})
