/* global WechatAuth */
// The page: it asks the sandbox what is going on, and brings phone, switches and inspector together.

import { $, el } from './dom.js'
import { onLanguage, say, switchLanguage, t, translateAll } from './i18n.js'
import { addExchange, beginTap, showBackend, showExpiry, showSessions, showToken, startInspector } from './inspector.js'
import { owner, startPhone, toast } from './phone.js'
import { makeWx } from './wx.js'

const api = '/sandbox/playground/'
const seen = { start: '', calls: 0, side: 0 }
let site
let wx
let auth
let claims = null
let sessionsShown = ''
let sessionsOld = true // something happened that may have changed them
let polling = false

onLanguage(() => { $('language').textContent = t('language') })
$('language').lang = ''
$('language').addEventListener('click', switchLanguage)
translateAll()
startInspector()

/** Asks one of the sandbox's routes. */
async function ask(route, body) {
  const response = await fetch(api + route, body && { method: 'POST', body: JSON.stringify(body) })
  if (!response.ok) throw new Error(`${route}: ${response.status}`)
  return response.status === 204 ? null : response.json()
}

/** A listener that asks the sandbox; without an answer, the page says that Caddy is away. */
const asking = (run) => () => run().catch(() => connected(false))

/** Takes in what happened at the sandbox since the last time. */
async function poll() {
  if (polling) return
  polling = true
  try {
    const state = await ask(`state?calls=${seen.calls}&side=${seen.side}`)
    if (seen.start && seen.start !== state.start) { // Caddy began anew, and so do the numbers
      Object.assign(seen, { start: state.start, calls: 0, side: 0 })
      polling = false
      return await poll()
    }
    seen.start = state.start
    site = state.site
    showSwitches(state.faults)
    state.calls.forEach(addCall)
    state.side.forEach(addSide)
    $('push').hidden = !state.push
    connected(true)
    await pollSessions(state.sessions)
  } catch {
    connected(false)
  } finally {
    polling = false
  }
}

function addCall({ number, time, method, path, query, body, errcode, answer }) {
  seen.calls = Math.max(seen.calls, number)
  sessionsOld = true
  addExchange({ lane: 'wechat', time: Date.parse(time), method, path, status: errcode || 'ok', request: { query, body }, response: { body: answer } })
}

function addSide({ number, time, lane, path, status, body, answer }) {
  seen.side = Math.max(seen.side, number)
  sessionsOld = true
  const event = body.event ?? body.Event
  addExchange({ lane, time: Date.parse(time), method: 'POST', path: `${path} (${event})`, status, request: { body }, response: { body: answer } })
}

function connected(on) {
  const node = $('connection')
  node.classList.toggle('off', !on)
  if (node.dataset.i18n !== `connection.${on ? 'on' : 'off'}`) say(node, `connection.${on ? 'on' : 'off'}`)
}

/** Shows the sessions of the phone's user, as far as they changed. Caddy logs each question, so it asks only then. */
async function pollSessions(possible) {
  $('end-session').hidden = !possible
  if (!sessionsOld) return
  sessionsOld = false
  let known = possible ? undefined : null
  const user = auth?.user
  if (possible && user) {
    const response = await fetch(`${api}user?${new URLSearchParams({ appid: user.appid, openid: user.openid })}`)
    known = response.ok ? await response.json() : {}
  }
  const shown = JSON.stringify([known, claims?.sid])
  if (shown === sessionsShown) return
  sessionsShown = shown
  showSessions(known, claims?.sid, (sid) => asking(() => endSession(sid))())
}

async function endSession(sid) {
  const { appid, openid } = auth.user
  await ask('end', { appid, openid, sid })
  toast('done.session')
  sessionsOld = true
  await poll()
}

/** Makes the switches, and shows which are on. */
function showSwitches(faults) {
  for (const { name, on } of faults) {
    if (!$(name)) addSwitch(name)
    $(name).setAttribute('aria-checked', String(on))
  }
  $('mend').disabled = !faults.some(({ on }) => on)
}

function addSwitch(name) {
  const button = el('button', { type: 'button', id: name, role: 'switch', 'aria-checked': 'false' },
    el('span', { className: 'text' }, el('span', { i18n: name }), el('small', { i18n: `${name}.hint` })),
    el('i', { 'aria-hidden': 'true' }))
  button.addEventListener('click', asking(async () => {
    showSwitches(await ask('faults', { name, on: button.getAttribute('aria-checked') !== 'true' }))
  }))
  $('faults').append(button)
}

$('mend').addEventListener('click', asking(async () => {
  for (const button of $('faults').children) {
    if (button.getAttribute('aria-checked') === 'true') showSwitches(await ask('faults', { name: button.id, on: false }))
  }
  toast('done.mend')
}))
$('expire').addEventListener('click', asking(async () => {
  await ask('expire', {})
  toast('done.expire')
}))
$('push').addEventListener('click', asking(async () => {
  beginTap('push')
  const event = { user: owner, event: 'user_authorization_revoke', revoke_info: '8' } // 8 is the phone number
  const response = await fetch('/sandbox/pushes', { method: 'POST', body: JSON.stringify(event) })
  if (response.ok) toast('done.push')
  else toast('error.other', `push ${response.status}`)
  await poll()
}))
$('end-session').addEventListener('click', asking(async () => { if (claims) await endSession(claims.sid) }))

/** Shows the token that the client keeps, whenever it changes. */
function lookAtToken() {
  claims = showToken(wx.stored(), site)
  sessionsOld = true
  $('end-session').disabled = !claims
}

/** Records an exchange of the phone. The example backend answers with the headers it got. */
function record(exchange) {
  addExchange(exchange)
  sessionsOld = true
  const headers = exchange.response?.body?.headers
  if (exchange.lane === 'site' && exchange.status === 200 && headers) showBackend(`${exchange.method} ${exchange.path}`, headers)
}

for (await poll(); !site; await poll()) await new Promise((resolve) => { setTimeout(resolve, 1000) })
wx = makeWx({ user: owner, record, changed: lookAtToken })
auth = new WechatAuth({ baseURL: site, wx })
startPhone({ auth, wx, tapped: beginTap, settled: poll })
lookAtToken()
translateAll()
await poll()
setInterval(() => {
  showExpiry(claims)
  if (!document.hidden) poll()
}, 1000)
document.documentElement.dataset.ready = 'true'
