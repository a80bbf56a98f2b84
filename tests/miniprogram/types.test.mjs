// The mini program as compilers see it: its code with `strict` against WeChat's types, its templates against its code,
// and its files against each other.
import assert from 'node:assert/strict'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import ts from 'typescript'
import { compile, json, units, used } from './templates.mjs'

const root = fileURLToPath(new URL('../..', import.meta.url))
const dir = join(root, 'examples/miniprogram')
const here = fileURLToPath(new URL('.', import.meta.url))
const { pages, components } = units(dir)

// The attributes of WeChat's own tags that are used. Names that are not here fail, so that none is misspelled.
const TAGS = `
type Common = { id: string, class: string, hidden: boolean, hoverClass: string, ariaRole: string, ariaLabel: string, ariaModal: string }
type BuiltIn = {
  view: Common, text: Common, icon: Common & { type: string, size: string },
  form: Common,
  image: Common & { src: string, mode: string },
  input: Common & { type: string, name: string, value: string, maxlength: string, placeholder: string },
  navigator: Common & { url: string },
  button: Common & { openType: string, formType: string, disabled: boolean, loading: boolean, phoneNumberNoQuotaToast: boolean },
}`

// Has a page or component export what its template may use. The call keeps its types.
const GLOBALS = `
declare function _page<D extends WechatMiniprogram.Page.DataOption, C extends WechatMiniprogram.Page.CustomOption>(
  options: WechatMiniprogram.Page.Options<D, C>): { data: D, methods: C, properties: {} }
declare function _component<D extends WechatMiniprogram.Component.DataOption, P extends WechatMiniprogram.Component.PropertyOption,
  M extends WechatMiniprogram.Component.MethodOption>(options: WechatMiniprogram.Component.Options<D, P, M, []>):
  { data: D & WechatMiniprogram.Component.PropertyOptionToData<P>, methods: M, properties: WechatMiniprogram.Component.PropertyOptionToData<P> }
`

const exporting = (text) => text.replace(/^Page\(/m, 'module.exports = _page(').replace(/^Component\(/m, 'module.exports = _component(')

// The template of a unit as a TypeScript file beside it.
function templateFile(unit) {
  const tags = Object.entries(used(dir, unit))
    .map(([tag, path]) => `${JSON.stringify(tag)}: (typeof import('./${relative(dirname(unit), path.slice(1))}'))['properties'] & Common`)
  const environment = `
import unit = require('./${unit.split('/').pop()}')
const { data, methods } = unit
${TAGS}
const tags = null as unknown as BuiltIn & { ${tags.join(', ')} }
`
  return compile(dir, unit, environment)
}

const options = {
  ...ts.convertCompilerOptionsFromJson({
    strict: true, noEmit: true, allowJs: true, checkJs: true, target: 'ES2018', lib: ['ES2018'], module: 'CommonJS',
    moduleResolution: 'node10', noImplicitReturns: true, skipLibCheck: true, noFallthroughCasesInSwitch: true,
  }, here).options,
  types: ['miniprogram-api-typings'], typeRoots: [join(here, 'node_modules')],
}

function check(change = (file, text) => text) {
  const generated = new Map([[join(dir, 'generated.d.ts'), GLOBALS]])
  for (const unit of [...pages, ...components]) generated.set(join(dir, `${unit}.wxml.ts`), templateFile(unit).types)
  const host = ts.createCompilerHost(options)
  const { readFile, fileExists } = host
  host.fileExists = (file) => generated.has(file) || fileExists(file)
  host.readFile = (file) => {
    if (generated.has(file)) return change(relative(dir, file), generated.get(file))
    const text = readFile(file)
    return file.startsWith(dir) && file.endsWith('.js') ? change(relative(dir, file), exporting(text)) : text
  }
  const files = [...ownFiles('.js'), ...generated.keys()]
  return ts.getPreEmitDiagnostics(ts.createProgram(files, options, host)).map((d) => {
    const text = ts.flattenDiagnosticMessageText(d.messageText, '\n')
    if (!d.file) return text
    const code = d.file.text.slice(d.start, d.start + d.length)
    return `${relative(dir, d.file.fileName)}:${d.file.getLineAndCharacterOfPosition(d.start).line + 1}: ${text} (${code})`
  })
}

function ownFiles(extension) {
  return readdirSync(dir, { recursive: true }).map((file) => join(dir, file))
    .filter((file) => file.endsWith(extension) && !file.startsWith(join(dir, 'lib')))
}

test('code and templates pass the compilers', () => {
  assert.deepEqual([...pages, ...components].flatMap((unit) => compile(dir, unit).warnings), [])
  assert.deepEqual(check(), [])
})

test('the compilers find what they are for', () => {
  const faults = [
    ['pages/index/index.js', 'busy: false,', '', /wxml\.ts.*busy/], // data that no page sets
    ['pages/phone/phone.js', 'onLater()', 'onNever()', /wxml\.ts.*onLater/], // no such handler
    ['components/notice/notice.js', 'retry: {', 'again: {', /wxml\.ts.*retry/], // no such property
    ['problem.js', 'offline: [', 'offlin: [', /offline/], // an error code without words
  ]
  const found = check((path, text) => {
    const fault = faults.find(([file]) => file === path)
    if (!fault) return text
    assert.ok(text.includes(fault[1]), `${path} has no ${fault[1]}`)
    return text.replace(fault[1], fault[2])
  }).join('\n')
  for (const [, , , want] of faults) assert.match(found, want)
})

test('every file that is named exists, and every page is named', () => {
  const app = json(dir, 'app.json')
  for (const file of [app.themeLocation, app.sitemapLocation, 'project.config.json']) json(dir, file)
  for (const unit of [...pages, ...components, ...Object.values(app.usingComponents).map((path) => path.slice(1))]) {
    for (const extension of ['js', 'json', 'wxml']) assert.ok(existsSync(join(dir, `${unit}.${extension}`)), `${unit}.${extension}`)
  }
  const all = readdirSync(join(dir, 'pages')).map((name) => `pages/${name}/${name}`)
  assert.deepEqual([...pages].sort(), all.sort())
  const theme = json(dir, app.themeLocation)
  for (const value of Object.values(app.window).filter((v) => v.startsWith('@'))) {
    for (const mode of ['light', 'dark']) assert.ok(theme[mode][value.slice(1)], `${mode} ${value}`)
  }
  for (const file of ownFiles('.wxml').concat(ownFiles('.js'))) {
    for (const [, url] of readFileSync(file, 'utf8').matchAll(/url[:=] ?['"]\/(pages\/[a-z/]+)['"]/g)) assert.ok(pages.includes(url), `${file}: ${url}`)
  }
})

test('everything required lies in the folder, which DevTools does not leave', () => {
  for (const file of ownFiles('.js')) {
    for (const [, path] of readFileSync(file, 'utf8').matchAll(/require\('([^']+)'\)/g)) {
      assert.ok(resolve(dirname(file), path).startsWith(dir), `${file} requires ${path}`)
    }
  }
})

test('a class that a template uses has a style', () => {
  const shared = readFileSync(join(dir, 'app.wxss'), 'utf8')
  for (const unit of [...pages, ...components]) {
    const own = existsSync(join(dir, `${unit}.wxss`)) ? readFileSync(join(dir, `${unit}.wxss`), 'utf8') : ''
    for (const [, names] of readFileSync(join(dir, `${unit}.wxml`), 'utf8').matchAll(/ class="([^"]+)"/g)) {
      for (const name of names.split(' ')) assert.match(shared + own, new RegExp(`\\.${name}\\b`), `${unit}.wxml: class ${name}`)
    }
  }
})
