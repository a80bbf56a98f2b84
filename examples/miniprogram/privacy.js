// The privacy gate: what WeChat holds back until the user agrees to the privacy guideline. WeChat asks one function for
// the whole app, and the pop-up of the page in front answers.
// https://developers.weixin.qq.com/miniprogram/dev/framework/user-privacy/PrivacyAuthorize.html

/** @typedef {(how: { event: 'exposureAuthorization' | 'agree' | 'disagree', buttonId?: string }) => void} Resolve */
/** @typedef {{ open(shown: () => void): void, close(): void }} PopUp */

/** @type {Set<Resolve>} calls that WeChat holds back */
const waiting = new Set()
/** @type {PopUp[]} of the open pages, the one in front last */
const popUps = []

function start() {
  if (!wx.onNeedPrivacyAuthorization) return // before 2.32.3 WeChat holds nothing back
  wx.onNeedPrivacyAuthorization(/** @type {any} WeChat's types have it wrong */ (ask))
}

/** @param {Resolve} resolve */
function ask(resolve) {
  const popUp = popUps[popUps.length - 1]
  if (!popUp) { // a call that gets no answer hangs forever
    resolve({ event: 'disagree' })
    return
  }
  waiting.add(resolve)
  popUp.open(() => resolve({ event: 'exposureAuthorization' }))
}

/** Shows the guideline. */
function read() {
  if (wx.openPrivacyContract) wx.openPrivacyContract({})
}

/** @param {PopUp} popUp */
function toFront(popUp) {
  remove(popUp)
  popUps.push(popUp)
}

/** @param {PopUp} popUp */
function remove(popUp) {
  const i = popUps.indexOf(popUp)
  if (i >= 0) popUps.splice(i, 1)
}

/**
 * Answers all calls that wait. WeChat checks that the button of this id was tapped.
 *
 * @param {string} buttonId
 */
function agree(buttonId) {
  answer({ event: 'agree', buttonId })
}

function disagree() {
  answer({ event: 'disagree' })
}

/** @param {Parameters<Resolve>[0]} how */
function answer(how) {
  const calls = [...waiting]
  waiting.clear()
  popUps.forEach((popUp) => popUp.close())
  calls.forEach((resolve) => resolve(how))
}

module.exports = { start, read, toFront, remove, agree, disagree }
