// A problem in the user's words, with the button that may help.

Component({
  options: { addGlobalClass: true },
  properties: {
    problem: { type: null, value: /** @type {import('../../problem.js').Problem | null} */ (null) },
    /** Whether the page can try again. */
    retry: { type: Boolean, value: false },
    busy: { type: Boolean, value: false },
  },
  methods: {
    onRetry() {
      this.triggerEvent('retry')
    },
    onLogin() {
      wx.reLaunch({ url: '/pages/index/index' })
    },
  },
})
