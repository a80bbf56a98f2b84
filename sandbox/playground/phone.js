// The mini program in the phone. What it does is what a mini program's code would do with wechatauth.js.

import { $, el } from './dom.js'
import { known, onLanguage, say, t } from './i18n.js'

const owners = { xiaoming: '13800138000', xiaohong: '13900139001' }
const gradients = [['#07c160', '#0a7d45'], ['#f5a623', '#c2410c'], ['#4f8cff', '#3730a3']]

/** Whose phone it is; kept over a reload. */
export const owner = Object.keys(owners).find((name) => name === localStorage.getItem('playground.owner')) ?? 'xiaoming'

/** Runs the phone. tapped is called when the user taps, with the name of what he taps, and settled when that is done. */
export function startPhone({ auth, wx, tapped, settled }) {
  let needsPhone = false
  let orders = null

  const show = () => {
    const { user, loggedIn } = auth
    $('login').hidden = loggedIn
    $('account').hidden = !loggedIn
    if (user?.nickname) {
      delete $('nickname').dataset.i18n
      $('nickname').textContent = user.nickname
    } else {
      say($('nickname'), user ? 'phone.nameless' : 'phone.anonymous')
    }
    $('openid').textContent = user ? user.openid : ''
    $('nickname-value').textContent = user?.nickname ?? t('phone.fill')
    $('phone-value').textContent = user?.phone ?? t('phone.get')
    const image = $('avatar-image')
    image.hidden = !user?.avatar
    if (user?.avatar) image.src = auth.url(user.avatar)
    $('avatar-letter').textContent = user?.avatar ? '' : user ? [...(user.nickname ?? t(owner))].pop() : '?'
    $('avatar').setAttribute('aria-label', t('phone.change.avatar'))
    $('phone-wanted').hidden = !needsPhone
    $('order-list').hidden = !orders
    $('order-list').replaceChildren(...(orders ?? []).map((order) => el('li', {}, order)))
  }

  /** Does what a tap asks for, and says how it went. */
  const tap = async (name, run) => {
    const focused = document.activeElement
    tapped(name)
    document.querySelector('.phone').setAttribute('aria-busy', 'true')
    try {
      await run()
      toast(`done.${name}`)
    } catch (error) {
      fail(error)
    } finally {
      document.querySelector('.phone').removeAttribute('aria-busy')
      show()
      // Who taps by keyboard goes on from what is left, when the button that he pressed is gone.
      if ([focused, document.body].includes(document.activeElement) && !focused.checkVisibility()) $(auth.loggedIn ? 'orders' : 'login').focus()
      settled()
    }
  }

  const login = () => tap('login', () => auth.login())

  const givePhone = async () => {
    const answer = await ask('phone-sheet')
    if (!answer) return
    await tap('phone', async () => {
      const event = answer === 'allow' ? await wx.phoneButton(owners[owner]) : wx.phoneRefused()
      await auth.bindPhone(event)
      needsPhone = false
    })
  }

  const chooseAvatar = async () => {
    const picture = await choosePicture()
    if (picture) await tap('avatar', () => auth.setAvatar(wx.avatarButton(picture)))
  }

  const fillNickname = async () => {
    $('nickname-input').value = auth.user?.nickname ?? ''
    if (await ask('nickname-sheet') !== 'save') return
    await tap('nickname', () => auth.setNickname($('nickname-input').value))
  }

  const showOrders = () => tap('orders', async () => {
    needsPhone = false
    orders = null
    try {
      const { data } = await auth.request({ url: '/orders/' })
      orders = data.orders
    } catch (error) {
      needsPhone = error.code === 'phone_required'
      throw error
    }
  })

  const leave = (name, run) => tap(name, async () => {
    orders = null
    needsPhone = false
    await run()
  })

  const erase = async () => {
    if (await ask('erase-sheet') === 'erase') await leave('erase', () => auth.erase())
  }

  const buttons = {
    login, 'set-nickname': fillNickname, 'set-phone': givePhone, 'set-avatar': chooseAvatar, avatar: chooseAvatar,
    orders: showOrders, 'orders-phone': givePhone, logout: () => leave('logout', () => auth.logout()), erase,
  }
  for (const [id, run] of Object.entries(buttons)) $(id).addEventListener('click', run)

  $('phone-sheet-number').textContent = owners[owner].replace(/^(...)....(....)$/, '$1****$2')
  for (const name of Object.keys(owners)) $('owner').append(el('option', { value: name, i18n: name, selected: name === owner }))
  $('owner').addEventListener('change', () => {
    localStorage.setItem('playground.owner', $('owner').value)
    location.reload() // another phone: nothing of this one may stay
  })
  auth.on('change', show)
  onLanguage(show)
}

let finish // of the sheet that was opened last, until its answer is taken

/** Opens a sheet and resolves with the value of the button that closed it; '' for Escape. */
function ask(id) {
  finish?.() // who is quick opens it again before the event comes that it closed
  const sheet = $(id)
  sheet.returnValue = ''
  sheet.showModal()
  return new Promise((resolve) => {
    const control = new AbortController()
    finish = () => {
      finish = undefined
      control.abort()
      resolve(sheet.returnValue)
    }
    sheet.addEventListener('click', ({ target }) => {
      const button = target.closest('button[type=button]')
      if (button) sheet.close(button.value === 'cancel' ? '' : button.value)
    }, { signal: control.signal })
    sheet.addEventListener('close', () => { if (!sheet.open) finish() }, { signal: control.signal })
  })
}

/** Resolves with the picture that the user chooses, if any. */
async function choosePicture() {
  const album = $('album')
  album.value = ''
  $('samples').replaceChildren(...gradients.map((colours, i) => {
    const button = el('button', { type: 'button', value: String(i + 1), 'aria-label': t('sheet.avatar.sample', { n: i + 1 }) })
    button.append(drawn(colours))
    button.firstChild.setAttribute('aria-hidden', 'true')
    return button
  }))
  const chosen = new AbortController()
  album.addEventListener('change', () => $('avatar-sheet').close('album'), { signal: chosen.signal })
  const answer = await ask('avatar-sheet')
  chosen.abort()
  if (answer === 'album') return album.files[0]
  const canvas = $('samples').querySelectorAll('canvas')[answer - 1]
  return canvas && new Promise((resolve) => { canvas.toBlob(resolve, 'image/png') })
}

function drawn([from, to]) {
  const canvas = el('canvas', { width: 192, height: 192 })
  const pen = canvas.getContext('2d')
  const fill = pen.createLinearGradient(0, 0, 192, 192)
  fill.addColorStop(0, from)
  fill.addColorStop(1, to)
  pen.fillStyle = fill
  pen.fillRect(0, 0, 192, 192)
  pen.fillStyle = '#fff'
  pen.beginPath()
  pen.arc(96, 76, 34, 0, 7)
  pen.fill()
  pen.beginPath()
  pen.arc(96, 190, 66, 0, 7)
  pen.fill()
  return canvas
}

let hide

/** Shows a message on the phone for a while. */
export function toast(key, detail = '') {
  const node = $('toast')
  node.replaceChildren(el('span', { i18n: key }), detail ? el('code', {}, detail) : '')
  node.classList.add('shown')
  node.classList.toggle('failed', Boolean(detail))
  clearTimeout(hide)
  hide = setTimeout(() => node.classList.remove('shown'), 6000)
}

/** Tells the user what went wrong in his words, and the developer in his. */
function fail(error) {
  const key = `error.${error.code}`
  const detail = [error.status, error.code ?? error.message, error.errcode && `(${error.errcode})`].filter(Boolean).join(' ')
  toast(known(key) ? key : 'error.other', detail)
}
