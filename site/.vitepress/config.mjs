// The site of the documents: the files of the repository as they lie, with GitHub's links and anchors.
//
// SITE_BASE is the path below which it is served, / by default.
import { cpSync, rmSync } from 'node:fs'
import { dirname, join, posix } from 'node:path'
import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vitepress'
import caddyfile from './caddyfile.mjs'
import { menu, pageOf, repository, sourceOf } from './pages.mjs'
import { tokenize } from './search.mjs'

const root = join(dirname(fileURLToPath(import.meta.url)), '../..')
const src = join(root, 'site/src')
const pictures = 'docs/pictures'

// VitePress takes a page's language from its folder, and looks for packages from there: the documents are copied.
rmSync(src, { recursive: true, force: true })
for (const [source, page] of Object.entries(pageOf)) cpSync(join(root, source), join(src, page))
cpSync(join(root, pictures), join(src, pictures), { recursive: true })

/** As GitHub makes an anchor of a heading, which is how the documents link. */
const slugify = (text) => text.trim().toLowerCase().replace(/[^\p{L}\p{M}\p{N}\p{Pc}\- ]/gu, '').replaceAll(' ', '-')

/** Turns links between files into links between pages, and links to other files into links to the repository. */
function resolveLink(link, page) {
  if (/^([a-z]+:|#)/.test(link)) return link
  const [path, anchor] = link.split('#')
  const file = posix.join(posix.dirname(sourceOf[page]), path)
  const target = file.startsWith(pictures) ? file : pageOf[file]
  const hash = anchor ? `#${anchor}` : ''
  if (!target) return `${repository}/blob/main/${file}${hash}`
  const relative = posix.relative(posix.dirname(page), target)
  return `${relative.startsWith('.') ? '' : './'}${relative}${hash}`
}

function repositoryLinks(md) {
  md.core.ruler.push('repository_links', ({ tokens, env }) => {
    for (const { attrs } of tokens.flatMap(({ children }) => children ?? [])) {
      for (const attr of attrs ?? []) if (['href', 'src'].includes(attr[0])) attr[1] = resolveLink(attr[1], env.relativePath)
    }
  })
}

/** The line that leads to the other language on GitHub is in the site's head. */
function withoutLanguageLine(md) {
  md.core.ruler.before('inline', 'language_line', ({ tokens }) => {
    const i = tokens.findIndex(({ content }) => /^(English \| \[中文\]|\[English\]\([^)]*\) \| 中文)/.test(content))
    if (i > 0 && tokens[i - 1].type === 'paragraph_open') tokens.splice(i - 1, 3)
  })
}

function diagrams(md) {
  const { fence } = md.renderer.rules
  md.renderer.rules.fence = (tokens, i, ...rest) => tokens[i].info === 'mermaid'
    ? `<Diagram text="${encodeURIComponent(tokens[i].content)}" />`
    : fence(tokens, i, ...rest)
}

/** What llms.txt and SKILL.md lead to that is no page. */
const forPrograms = ['llms.txt', 'SKILL.md', 'CONTRIBUTING.md', 'CHANGELOG.md', 'client/wechatauth.js']

const icon = `data:image/svg+xml,${encodeURIComponent('<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16"><rect width="16" height="16" rx="4" fill="#07a35a"/><path d="M4 8.5l3 3 5-6" fill="none" stroke="#fff" stroke-width="2"/></svg>')}`

const editLink = (text) => ({ text, pattern: `${repository}/edit/main/:path` })

export default defineConfig({
  title: 'wechatauth',
  base: process.env.SITE_BASE || '/',
  srcDir: 'src',
  outDir: 'dist',
  head: [['link', { rel: 'icon', href: icon }]],
  ignoreDeadLinks: 'localhostLinks',
  markdown: {
    anchor: { slugify },
    attrs: { disable: true },
    languages: [caddyfile],
    config(md) {
      md.use(repositoryLinks).use(withoutLanguageLine).use(diagrams)
    },
  },
  themeConfig: {
    socialLinks: [{ icon: 'github', link: repository }],
    search: {
      provider: 'local',
      options: {
        miniSearch: { options: { tokenize }, searchOptions: { combineWith: 'AND' } },
        locales: { zh: { translations: {
          button: { buttonText: '搜索', buttonAriaLabel: '搜索' },
          modal: {
            noResultsText: '没有找到：', resetButtonTitle: '清空', backButtonTitle: '关闭', displayDetails: '显示详情',
            footer: { selectText: '打开', navigateText: '切换', closeText: '关闭' },
          },
        } } },
      },
    },
  },
  locales: {
    root: {
      label: 'English', lang: 'en',
      description: 'WeChat mini program login for any backend, in Caddy',
      themeConfig: {
        sidebar: menu(0), editLink: editLink('Edit this page on GitHub'), outline: { level: [2, 3], label: 'On this page' },
        notFound: { title: 'There is no such page', quote: 'The link may be wrong, or the page has moved.', linkLabel: 'Go to the front page', linkText: 'Go to the front page' },
      },
    },
    zh: {
      label: '简体中文', lang: 'zh-CN',
      description: '用 Caddy 给任意后端加上微信小程序登录',
      themeConfig: {
        sidebar: menu(1), editLink: editLink('在 GitHub 上编辑此页'), outline: { level: [2, 3], label: '本页目录' },
        docFooter: { prev: '上一页', next: '下一页' },
        darkModeSwitchLabel: '外观', lightModeSwitchTitle: '切换到浅色', darkModeSwitchTitle: '切换到深色',
        sidebarMenuLabel: '目录', returnToTopLabel: '回到顶部', langMenuLabel: '切换语言', skipToContentLabel: '跳到正文',
        notFound: { title: '没有这一页', quote: '链接可能写错了，也可能这一页已经移走。', linkLabel: '回到首页', linkText: '回到首页' },
      },
    },
  },
  transformPageData(page) {
    page.filePath = sourceOf[page.relativePath] ?? page.filePath // where it is edited
  },
  // The documents as they are, for programs that read llms.txt
  buildEnd({ outDir }) {
    for (const file of [...forPrograms, ...Object.keys(pageOf)]) cpSync(join(root, file), join(outDir, file))
  },
})
