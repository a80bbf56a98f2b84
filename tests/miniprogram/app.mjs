// The mini program, run: its code as it is, its templates in WeChat's own framework, which draws nothing here.
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { Device } from './device.mjs'
import { compile, units, used } from './templates.mjs'

const require = createRequire(import.meta.url)
const framework = require('glass-easel')
const { MiniProgramEnv } = require('glass-easel-miniprogram-adapter')

framework.globalOptions.throwGlobalError = true
framework.addGlobalWarningListener((message) => { throw new Error(message) })

export class MiniProgram {
  constructor(dir, phone, baseURL) {
    Object.assign(this, { dir, baseURL, device: new Device(phone) })
    this.device.open = (url) => this.open(url)
    this.templates = Object.entries(units(dir)).flatMap(([, all]) => all.map((unit) => [unit, compile(dir, unit).template]))
    this.#start()
  }

  // Starts it again: its memory is gone, the phone's storage is not. `url` is where it opens.
  restart(url) {
    this.device.pages.splice(0).forEach((page) => page.close())
    this.device.restart()
    this.#start()
    return this.open(url ?? '/pages/index/index')
  }

  #start() {
    const modules = new Map([[join(this.dir, 'config.js'), { exports: { baseURL: this.baseURL, sandbox: true } }]])
    const { pages } = this.device
    this.load = (file, globals) => {
      if (modules.has(file)) return modules.get(file).exports
      const module = { exports: {} }
      modules.set(file, module)
      const names = { wx: this.device.wx, getCurrentPages: () => pages, ...globals }
      const code = new Function('module', 'exports', 'require', ...Object.keys(names), readFileSync(file, 'utf8'))
      code(module, module.exports, (path) => this.load(join(dirname(file), path), {}), ...Object.values(names))
      return module.exports
    }
    this.load(join(this.dir, 'app.js'), { App: ({ onLaunch }) => onLaunch({ path: 'pages/index/index', scene: 1001, query: {} }) })
    this.env = new MiniProgramEnv()
    this.space = this.env.createCodeSpace('', true)
    this.backend = this.env.associateBackend(new framework.EmptyComposedBackendContext())
    for (const [unit, template] of this.templates) {
      this.space.addComponentStaticConfig(unit, { usingComponents: used(this.dir, unit) })
      this.space.addCompiledTemplate(unit, template)
      this.space.componentEnv(unit, ({ Page, Component }) => this.load(join(this.dir, `${unit}.js`), { Page, Component }))
    }
  }

  open(url) {
    const { pages } = this.device
    if (pages.length) pages[pages.length - 1].hide()
    const page = new Page(this.device, this.backend.createRoot('page', this.space, url.slice(1)))
    pages.push(page)
    page.start()
    return page
  }

  // The page in front.
  get page() { return this.device.pages[this.device.pages.length - 1] }

  get auth() { return this.load(join(this.dir, 'auth.js'), {}) }
}

class Page {
  constructor(device, root) {
    Object.assign(this, { device, root, component: root.getComponent(), typed: new Map() })
  }

  start() {
    framework.Element.pretendAttached(this.component)
    this.#call('onLoad', {})
    this.show()
    this.#call('onReady')
  }

  show() {
    this.component.triggerPageLifetime('show', [])
    this.#call('onShow')
  }

  hide() {
    this.component.triggerPageLifetime('hide', [])
    this.#call('onHide')
  }

  close() {
    this.#call('onUnload')
    this.root.release()
  }

  #call(name, ...args) {
    this.root.get()[name]?.(...args)
  }

  get path() { return this.component.is }

  // All that is on the page, in components too, from the top down.
  *nodes(node = this.component) {
    if (framework.Component.isComponent(node)) node = node.getShadowRoot()
    for (const child of node.childNodes) {
      yield child
      if (!framework.TextNode.isTextNode(child)) yield* this.nodes(child)
    }
  }

  // What a user reads.
  get text() {
    return [...this.nodes()].filter(framework.TextNode.isTextNode).map((node) => node.textContent.trim()).filter(Boolean).join('\n')
  }

  // A button with this text or open-type, or else the innermost element with this text.
  find(what) {
    const elements = [...this.nodes()].filter(framework.NativeNode.isNativeNode).map((node) => new Element(this, node)).reverse()
    const found = elements.filter((e) => e.text.includes(what) || e.attribute('open-type') === what)
    if (!found.length) throw new Error(`there is no ${what} to tap on ${this.path}:\n${this.text}`)
    return found.find((e) => ['button', 'navigator'].includes(e.node.is)) ?? found[0]
  }

  has(tag) { return [...this.nodes()].some((node) => node.is === tag) }

  image() { return [...this.nodes()].find((node) => node.is === 'image')?.getAttribute('src') }

  type(name, value) { this.typed.set(name, value) }

  // A tap, as WeChat passes it on. `got` is what a button with an open-type gives.
  async tap(what, got) {
    const element = this.find(what)
    if (element.attribute('disabled')) return 'disabled'
    if (element.attribute('open-type')) return this.device.tap(element, got)
    if (element.node.is === 'navigator') return this.device.wx.navigateTo({ url: element.attribute('url') })
    if (element.attribute('form-type') === 'submit') return this.#submit(element)
    return element.trigger('tap', {})
  }

  #submit(button) {
    const inputs = [...this.nodes()].filter((node) => node.is === 'input')
    const value = Object.fromEntries(inputs.map((node) => {
      const name = node.getAttribute('name')
      return [name, this.typed.get(name) ?? node.getAttribute('value')]
    }))
    let node = button.node
    while (node.is !== 'form') node = node.parentNode
    node.triggerEvent('submit', { value })
  }
}

class Element {
  constructor(page, node) {
    Object.assign(this, { page, node, id: node.id })
  }

  attribute(name) { return this.node.getAttribute(name) }
  trigger(event, detail) { this.node.triggerEvent(event, detail, { bubbles: event === 'tap', composed: event === 'tap' }) }

  get text() {
    return [...this.page.nodes(this.node)].filter(framework.TextNode.isTextNode).map((node) => node.textContent.trim()).join('')
  }
}

// Waits until the page in front is as it should be.
export async function until(app, holds, what) {
  for (const began = Date.now(); ;) {
    if (holds(app.page)) return app.page
    if (Date.now() - began > 30000) throw new Error(`not within 30 s: ${what}. ${app.page.path} shows:\n${app.page.text}`)
    await new Promise((done) => setTimeout(done, 10))
  }
}
