// Elements made from text. Nothing here takes HTML, and the page's policy forbids it.

import { translate } from './i18n.js'

export const $ = (id) => document.getElementById(id)

/** Makes an element. Properties that begin with data- or aria-, and role, are attributes; i18n is the key of its text. */
export function el(tag, properties = {}, ...children) {
  const node = document.createElement(tag)
  for (const [name, value] of Object.entries(properties)) {
    if (name === 'i18n') node.dataset.i18n = value
    else if (/^(data-|aria-|role$)/.test(name)) node.setAttribute(name, value)
    else node[name] = value
  }
  node.append(...children.filter((child) => child !== null && child !== undefined))
  if (properties.i18n) translate(node)
  return node
}

/** Shortens the tokens in a text; the token's tab has all of it. */
export const short = (text) => text.replace(/\b(eyJ[\w-]{12})[\w-]+\.[\w-]+\.[\w-]+([\w-]{6})/g, '$1…$2')

/** Shows a value as JSON, its names and values in colours. */
export function json(value) {
  const pre = el('pre', { className: 'json' })
  const text = short(JSON.stringify(value, null, 2) ?? '')
  const token = /("(?:[^"\\]|\\.)*")(\s*:)?|\b(?:true|false|null)\b|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g
  let end = 0
  for (const match of text.matchAll(token)) {
    pre.append(text.slice(end, match.index))
    const kind = match[2] ? 'key' : match[1] ? 'string' : 'literal'
    pre.append(el('span', { className: kind }, match[1] ?? match[0]), match[2] ?? '')
    end = match.index + match[0].length
  }
  pre.append(text.slice(end))
  return pre
}

/** A table of names and values. */
export function table(caption, rows) {
  return el('table', {},
    el('caption', { i18n: caption }),
    el('tbody', {}, ...rows.map(([name, value, note]) => el('tr', typeof name === 'string' ? { 'data-name': name } : {},
      el('th', { scope: 'row' }, name),
      el('td', {}, value instanceof Node ? value : String(value), note ? el('small', { i18n: note }) : null)))))
}
