// The pages of the site by the reader's job: the file, its address, and what the menu calls it in English and in
// Chinese. A test wants every page of docs/ here.

export const repository = 'https://github.com/caddy-wechat/wechatauth'

const doc = (name, english, chinese) => ({
  sources: [`docs/${name}.md`, `docs/${name}.zh-CN.md`], address: name, titles: [english, chinese],
})
const other = (sources, address, english, chinese) => ({ sources, address, titles: [english, chinese] })
/** A file that is written in English alone is no page, but read on GitHub. */
const only = (file, english, chinese) => ({ sources: [], address: `${repository}/blob/main/${file}`, titles: [english, chinese] })

export const groups = [
  { titles: ['Start', '上手'], pages: [
    other(['README.md', 'README.zh-CN.md'], 'index', 'Overview', '概览'),
    doc('playground', 'Playground', '体验页'),
    doc('curl', 'With curl', '用 curl 走一遍'),
    doc('guide', 'Step by step', '从零做起'),
    doc('migration', 'Moving a project', '迁移已有项目'),
    doc('faq', 'Questions', '常见问题'),
  ] },
  { titles: ['Configure', '配置'], pages: [
    other(['xcaddy.md', 'xcaddy.zh-CN.md'], 'xcaddy', 'Build', '编译'),
    doc('options', 'Options', '配置项'),
    doc('paths', 'Paths', '路径规则'),
    doc('keys', 'Keys', '密钥'),
    doc('stores', 'Stores', '存储'),
  ] },
  { titles: ['Backends', '后端'], pages: [
    doc('backends', 'Reading the user', '读取用户身份'),
    doc('api', 'API and errors', '接口与错误码'),
    doc('hook', 'Hook', '登录钩子'),
    doc('service', 'Payments and WeChat API', '支付签名与微信接口'),
    doc('push', 'Message push', '消息推送'),
  ] },
  { titles: ['Mini program', '小程序'], pages: [
    other(['client/README.md', 'client/README.zh-CN.md'], 'client', 'wechatauth.js', 'wechatauth.js'),
    doc('profile', 'Avatar and nickname', '头像和昵称'),
    other(['examples/miniprogram/README.en.md', 'examples/miniprogram/README.md'], 'miniprogram', 'Example', '示例小程序'),
    doc('review', 'Review and privacy', '过审与隐私'),
    doc('web', 'Web pages', '网页与 H5'),
  ] },
  { titles: ['Operate', '运维'], pages: [
    doc('production', 'Going to production', '上线'),
    doc('deploy', 'Deploy', '部署'),
    doc('operations', 'Operations', '日常运维'),
    doc('releases', 'Releases', '版本与发布'),
    doc('nginx', 'nginx, Traefik, Envoy', 'nginx、Traefik、Envoy'),
    doc('gateway', 'WeChat gateway', '微信网关'),
    doc('performance', 'Performance', '性能'),
  ] },
  { titles: ['Security', '安全'], pages: [
    other(['SECURITY.md', 'SECURITY.zh-CN.md'], 'promises', 'What is promised', '安全承诺'),
    doc('security', 'Attacks and tests', '攻击与测试'),
    doc('hardening', 'Hardening', '加固试验'),
  ] },
  { titles: ['Project', '项目'], pages: [
    only('CONTRIBUTING.md', 'Contributing', '参与开发（英文）'),
    only('CHANGELOG.md', 'Changes', '更新日志（英文）'),
    only('bench/README.md', 'Benchmarks', '基准测试（英文）'),
  ] },
]

/** From a file to its page, and back. */
export const pageOf = Object.fromEntries(groups.flatMap(({ pages }) => pages.flatMap(({ sources, address }) =>
  sources.map((source, i) => [source, `${i ? 'zh/' : ''}${address}.md`]))))
export const sourceOf = Object.fromEntries(Object.entries(pageOf).map(([source, page]) => [page, source]))

/** The menu in a language: 0 is English, 1 is Chinese. */
export const menu = (language) => groups.map(({ titles, pages }) => ({
  text: titles[language],
  items: pages.map(({ sources, address, titles }) => ({
    text: titles[language],
    link: sources.length ? `${language ? '/zh' : ''}/${address === 'index' ? '' : address}` : address,
  })),
}))
