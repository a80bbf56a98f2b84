// uni-app's `uni` and Taro's `Taro` as they are in an app for WeChat, on top of a wx; and luch-request.
import { readFileSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { rollup } from 'rollup'

const here = dirname(fileURLToPath(import.meta.url)), require = createRequire(import.meta.url)
export const file = (path) => join(here, 'node_modules', path)

// What an app's build puts in place of these packages, as far as their APIs need it.
const builtIn = {
  vue: 'export const injectHook = () => {}',
  '@tarojs/runtime': `export class Events {}
    export const eventCenter = new Events(), nextTick = (f) => setTimeout(f), options = {}, Current = {}, getCurrentInstance = () => Current`,
}

let bundles = 0

// Bundles a file as Vite does for production, and imports it.
export async function bundled(input, sources = {}) {
  const virtual = { ...builtIn, ...sources }
  const bundle = await rollup({
    input,
    plugins: [{
      resolveId: (id) => (id in virtual ? `\0${id}` : null),
      load: (id) => (id[0] === '\0' ? virtual[id.slice(1)] : null),
    }],
    external: (id) => /^@?[a-z]/.test(id) && !(id in virtual) && !id.startsWith('file:'),
    onwarn(warning) { if (warning.code === 'MISSING_EXPORT') throw new Error(warning.message) },
  })
  const output = join(here, `bundle-${process.pid}-${++bundles}.mjs`) // here, where packages are found
  try {
    await bundle.write({ file: output, format: 'es' })
    return await import(output)
  } finally {
    await bundle.close()
    rmSync(output, { force: true })
  }
}

function globals(wx) {
  Object.assign(globalThis, { wx, getApp: () => ({}), getCurrentPages: () => [] })
}

export async function uniOf(wx) {
  globals({ ...wx, getSystemInfoSync: () => ({ language: 'zh_CN' }), getAppBaseInfo: () => ({}), canIUse: () => true, getLaunchOptionsSync: () => ({}) })
  return (await bundled(file('@dcloudio/uni-mp-weixin/dist/uni.api.esm.js'))).default
}

export async function taroOf(wx) {
  globals(wx)
  process.env.TARO_ENV = 'weapp'
  const { default: Taro } = await bundled(file('@tarojs/api/dist/index.esm.js'))
  const { initNativeApi } = await bundled(file('@tarojs/plugin-platform-weapp/dist/runtime-utils.js'))
  initNativeApi(Taro)
  return Taro
}

// The client with its last line as Vite needs it.
export function asModule() {
  const text = readFileSync(join(here, '..', 'wechatauth.js'), 'utf8')
  const made = text.replace(/if \(typeof module .*module\.exports = (\{.*\})\n$/, 'export $1\n')
  if (made === text) throw new Error('wechatauth.js does not end as its last comment says')
  return made
}

export { require }
