// The templates of the mini program, compiled by WeChat's own compiler.
import { readdirSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'

const require = createRequire(import.meta.url)
const { TmplGroup } = require('glass-easel-template-compiler')

export const json = (dir, file) => JSON.parse(readFileSync(join(dir, file), 'utf8'))

// The pages and components of a mini program, by path without extension.
export function units(dir) {
  const { pages } = json(dir, 'app.json')
  const components = readdirSync(join(dir, 'components')).map((name) => `components/${name}/${name}`)
  return { pages, components }
}

// The components that a unit can use, by tag.
export function used(dir, unit) {
  return { ...json(dir, 'app.json').usingComponents, ...json(dir, `${unit}.json`).usingComponents }
}

// What a template is to the framework, what the compiler finds wrong, and its expressions as TypeScript, which takes
// data, methods and tags from `environment`.
export function compile(dir, unit, environment = '') {
  const group = new TmplGroup()
  const warnings = group.addTmpl(unit, readFileSync(join(dir, `${unit}.wxml`), 'utf8'))
    .map((w) => `${unit}.wxml:${w.startLine + 1}: ${w.message}`)
  const groupList = new Function(`return ${group.getTmplGenObjectGroups()}`)()
  const types = group.getTmplConvertedExpr(unit, environment).code()
  group.free()
  return { template: { groupList, content: groupList[unit] }, warnings, types }
}
