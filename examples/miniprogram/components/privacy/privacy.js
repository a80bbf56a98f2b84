// The pop-up that asks for consent to the privacy guideline. Every page with a button or input that needs it has one.

const privacy = require('../../privacy.js')

Component({
  options: { addGlobalClass: true },
  data: { visible: false, contract: '用户隐私保护指引' },
  lifetimes: {
    attached() {
      privacy.toFront(this)
    },
    detached() {
      privacy.remove(this)
      if (this.data.visible) privacy.disagree()
    },
  },
  pageLifetimes: {
    show() {
      privacy.toFront(this)
    },
  },
  methods: {
    /** @param {() => void} shown */
    open(shown) {
      this.setData({ visible: true }, shown)
      wx.getPrivacySetting({
        success: ({ privacyContractName }) => { if (privacyContractName) this.setData({ contract: privacyContractName }) },
      })
    },
    close() {
      this.setData({ visible: false })
    },
    onRead() {
      privacy.read()
    },
    onAgree() {
      privacy.agree('privacy-agree')
    },
    onDisagree() {
      privacy.disagree()
    },
    /** Keeps the page below from scrolling. */
    onMove() {},
  },
})
