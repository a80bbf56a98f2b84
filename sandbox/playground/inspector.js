// The inspector: exchanges, the token, the backend's headers and the sessions.

import { $, el, json, short, table } from './dom.js'
import { known, say, t } from './i18n.js'

const most = 200 // exchanges that are shown

/** Makes the tabs work with pointer and keyboard, as the ARIA practices have it. */
function startTabs() {
  const tabs = [...$('tabs').children]
  const choose = (chosen, focus) => {
    for (const tab of tabs) {
      tab.setAttribute('aria-selected', String(tab === chosen))
      tab.tabIndex = tab === chosen ? 0 : -1
      $(tab.getAttribute('aria-controls')).hidden = tab !== chosen
    }
    if (focus) chosen.focus()
  }
  const keys = { ArrowRight: 1, ArrowLeft: -1 }
  tabs.forEach((tab, i) => {
    tab.addEventListener('click', () => choose(tab))
    tab.addEventListener('keydown', ({ key }) => {
      if (key in keys) choose(tabs[(i + keys[key] + tabs.length) % tabs.length], true)
      if (key === 'Home') choose(tabs[0], true)
      if (key === 'End') choose(tabs[tabs.length - 1], true)
    })
  })
  choose(tabs[0])
}

// Exchanges stand below the tap that caused them, the newest tap first.
const groups = []

function addGroup(time, key) {
  const list = el('ol', {})
  const at = time ? el('time', {}, new Date(time).toLocaleTimeString()) : null // what came before any tap has no time of its own
  const node = el('section', { className: 'tap' }, el('h3', {}, el('span', { i18n: key }), at), list)
  node.hidden = true // until something happens
  groups.unshift({ time, node, list })
  $('traffic').prepend(node)
}

/** Begins the exchanges of a tap. */
export function beginTap(name) {
  addGroup(Date.now(), `tap.${name}`)
}

/** Adds an exchange to the tap before it. */
export function addExchange(exchange) {
  if (!groups.length) addGroup(0, 'traffic.other')
  const group = groups.find(({ time }) => time <= exchange.time + 5) ?? groups[groups.length - 1]
  const node = exchangeNode(exchange)
  node.exchangeTime = exchange.time
  const later = [...group.list.children].find((other) => other.exchangeTime > exchange.time)
  group.list.insertBefore(node, later ?? null)
  group.node.hidden = false
  $('traffic').querySelector('.empty')?.remove()
  const all = $('traffic').querySelectorAll('li')
  if (all.length > most) all[all.length - 1].remove()
  while (groups.length > 1 && !groups[groups.length - 1].list.firstChild) groups.pop().node.remove()
}

function exchangeNode({ lane, method, path, status, failed, took, request, response }) {
  const good = typeof status === 'number' ? status < 400 : status === undefined ? false : status === 'ok' || status === 'allow'
  const outcome = failed ? t('no.answer') : String(status)
  const summary = el('summary', {},
    el('span', { className: `lane lane-${lane}`, i18n: `lane.${lane}` }),
    el('code', { className: 'line' }, `${method} ${path}`.trim()),
    el('span', { className: `outcome ${good ? 'good' : 'bad'}` }, outcome),
    el('span', { className: 'took' }, took === undefined ? '' : `${Math.round(took)} ms`))
  return el('li', { 'data-lane': lane, 'data-status': outcome }, el('details', {}, summary,
    part('part.query', request?.query), part('part.headers', request?.headers), part('part.body', request?.body),
    part('part.answer', response?.body), part('part.response.headers', response?.headers)))
}

function part(key, value) {
  const empty = value === undefined || value === '' || value === null || (typeof value === 'object' && Object.keys(value).length === 0)
  return empty ? null : el('div', { className: 'part' }, el('h4', { i18n: key }), typeof value === 'string' ? el('pre', {}, value) : json(value))
}

/** Shows the token that is in a text, if there is one, and returns its claims. */
export function showToken(text, site) {
  const raw = /eyJ[\w-]+\.[\w-]+\.[\w-]+/.exec(text)?.[0]
  const panel = $('token')
  const parts = raw?.split('.')
  const [header, claims] = parts?.slice(0, 2).map(decoded) ?? []
  if (!header || !claims) { // none, or one that somebody changed in the browser's storage
    panel.replaceChildren(el('p', { className: 'empty', i18n: 'token.empty' }))
    return null
  }
  if (panel.dataset.raw === raw && panel.querySelector('table')) return claims
  panel.dataset.raw = raw
  const note = el('p', { className: 'hint' })
  say(note, 'token.note', { url: `${site}/auth/.well-known/jwks.json` })
  panel.replaceChildren(
    el('p', { className: 'expiry', id: 'expiry' }), note,
    table('token.claims', rows(claims)), table('token.header', rows(header)),
    el('h3', { i18n: 'token.raw' }),
    el('p', { className: 'raw mono' }, ...parts.flatMap((text, i) => [i ? '.' : '', el('span', { className: `jwt${i}` }, text)])))
  showExpiry(claims)
  return claims
}

const rows = (object) => Object.entries(object).map(([name, value]) => {
  const shown = /^(iat|exp)$/.test(name) ? `${value} · ${new Date(value * 1000).toLocaleString()}` : typeof value === 'object' ? JSON.stringify(value) : value
  return [name, shown, known(`claim.${name}`) ? `claim.${name}` : null]
})

/** Shows how long the token is still good. */
export function showExpiry(claims) {
  const node = $('expiry')
  if (!node || !claims) return
  const left = Math.round(claims.exp - Date.now() / 1000)
  if (left > 0) say(node, 'token.valid', { n: left })
  else say(node, 'token.over')
}

function decoded(part) {
  try {
    const bytes = Uint8Array.from(atob(part.replace(/-/g, '+').replace(/_/g, '/')), (c) => c.charCodeAt(0))
    return JSON.parse(new TextDecoder().decode(bytes))
  } catch {
    return null
  }
}

/** Shows what the backend says that it got. */
export function showBackend(path, headers) {
  const note = el('p', { className: 'hint' })
  say(note, 'backend.note', { path })
  const rows = Object.entries(headers).sort(([a], [b]) => isOurs(b) - isOurs(a) || a.localeCompare(b))
    .map(([name, values]) => [el('code', { className: isOurs(name) ? 'ours' : '' }, name), short([].concat(values).join(', '))])
  $('backend').replaceChildren(note, table('backend.headers', rows))
}

const isOurs = (name) => name.toLowerCase().startsWith('x-wx-')

/** Shows what Caddy knows of a user; undefined for no user, null for no way to ask. */
export function showSessions(known, current, end) {
  const panel = $('sessions')
  if (panel.contains(document.activeElement)) panel.focus() // a button there goes
  const sessions = known?.sessions ?? []
  const empty = { undefined: 'sessions.empty', null: 'sessions.off' }[String(known)] ?? (known.user ? null : 'sessions.none')
  if (empty) {
    panel.replaceChildren(el('p', { className: 'empty', i18n: empty }))
    return
  }
  const names = ['sid', 'created', 'used', 'ends', 'act']
  // On a small screen the head of the table is not shown, and each time stands below its name.
  const time = (text, name) => el('td', {}, el('small', { className: 'label', i18n: `sessions.${name}` }), new Date(text).toLocaleString())
  panel.replaceChildren(
    el('p', { className: 'hint', i18n: 'sessions.note' }),
    el('table', { className: 'sessions' },
      el('caption', { i18n: 'sessions.list' }),
      el('thead', {}, el('tr', {}, ...names.map((name) => el('th', { scope: 'col', i18n: `sessions.${name}` })))),
      el('tbody', {}, ...sessions.map((session) => el('tr', { 'data-sid': session.sid },
        // What a sid begins with, all sessions of the user have.
        el('td', {}, el('code', {}, `…${session.sid.slice(-8)}`), session.sid === current ? el('span', { className: 'badge', i18n: 'sessions.this' }) : null),
        time(session.created, 'created'), time(session.last_use, 'used'), time(session.ends, 'ends'),
        el('td', {}, el('button', { type: 'button', className: 'quiet', i18n: 'sessions.end', onclick: () => end(session.sid) })))))),
    table('sessions.stored', Object.entries(known.user)))
}

/** Makes the tabs work, and shows the texts of those that have nothing yet. */
export function startInspector() {
  startTabs()
  $('traffic').append(el('p', { className: 'empty', i18n: 'traffic.empty' }))
  $('backend').append(el('p', { className: 'empty', i18n: 'backend.empty' }))
  showSessions(undefined)
}
