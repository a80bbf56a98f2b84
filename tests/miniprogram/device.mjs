// What WeChat puts around a mini program, beside the network of client/test/wx.mjs: pages one above the other, toasts
// and questions, the buttons with an open-type, and the privacy gate, each with WeChat's rules.

const REFUSAL = 10000 // no pop-up for so long after a refusal
const DEPTH = 10 // of pages

export class Device {
  // The privacy state is that of the phone, and a restart of the mini program leaves it.
  constructor(phone) {
    Object.assign(this, { phone, consented: true, refusedAt: -Infinity, now: 0 })
    this.restart()
  }

  restart() {
    Object.assign(this, { toasts: [], questions: [], answers: [], contracts: 0, exposed: 0, tapped: new Set(), onNeed: null, pages: [] })
    this.wx = Object.assign(this.phone.start(), {
      showToast: ({ title }) => this.toasts.push(title),
      // A question that the test has no answer to must not be asked.
      showModal: async ({ title }) => {
        this.questions.push(title)
        if (!this.answers.length) throw new Error(`the page asks ${title}`)
        return { confirm: this.answers.shift() }
      },
      navigateTo: ({ url }) => {
        if (this.pages.length >= DEPTH) throw new Error('navigateTo:fail webview count limit exceed')
        this.open(url)
      },
      navigateBack: () => {
        if (this.pages.length < 2) throw new Error('navigateBack:fail cannot navigate back at first page.')
        this.pages.pop().close()
        this.pages[this.pages.length - 1].show()
      },
      reLaunch: ({ url }) => {
        this.pages.splice(0).forEach((page) => page.close())
        this.open(url)
      },
      openPrivacyContract: () => { this.contracts++ },
      getPrivacySetting: ({ success }) => setImmediate(success, { needAuthorization: !this.consented, privacyContractName: '《示例隐私保护指引》' }),
      onNeedPrivacyAuthorization: (listener) => { this.onNeed = listener },
      requirePrivacyAuthorize: ({ success = () => {}, fail }) => {
        this.consent('requirePrivacyAuthorize').then(success, (e) => fail({ ...e, errMsg: `requirePrivacyAuthorize:${e.errMsg}` }))
      },
    })
  }

  // Resolves when the user has agreed, which may be now.
  consent(referrer) {
    const refused = { errno: 104, errMsg: 'fail privacy permission is not authorized' }
    if (this.consented) return Promise.resolve()
    if (this.now - this.refusedAt < REFUSAL) return Promise.reject(refused)
    if (!this.onNeed) throw new Error('the mini program leaves the pop-up to WeChat')
    return new Promise((resolve, reject) => this.onNeed(({ event, buttonId }) => {
      if (event === 'exposureAuthorization') this.exposed++
      if (event === 'agree') {
        if (!this.tapped.has(buttonId)) throw new Error(`resolve: the button ${buttonId} was not tapped`)
        this.consented = true
        resolve()
      }
      if (event === 'disagree') {
        this.refusedAt = this.now
        reject(refused)
      }
    }, { referrer }))
  }

  // A tap on a button with an open-type. `got` is what WeChat gives if the user has agreed to the guideline: a detail.
  async tap(button, got) {
    const type = button.attribute('open-type')
    if (type.includes('agreePrivacyAuthorization')) {
      if (!button.id) throw new Error('WeChat needs an id to check that this button was tapped')
      this.tapped.add(button.id)
      if (type.includes('|') && !this.consented) this.consented = true
      button.trigger('agreeprivacyauthorization', {})
    }
    const name = type.split('|')[0]
    if (name === 'agreePrivacyAuthorization') return
    const detail = await this.consent(`button.${name}`).then(() => got, (e) => ({ ...e, errMsg: `${name}:${e.errMsg}` }))
    button.trigger(name.toLowerCase(), detail)
  }
}
