// The page's texts in Chinese and English, and the switch between them.

const texts = {
  zh: {
    title: 'wechat_auth 体验页',
    subtitle: '在手机上点一点，看小程序、Caddy、微信和后端之间的每一个真实请求。',
    language: 'English',
    owner: '手机主人',
    xiaoming: '小明', xiaohong: '小红',
    'connection.on': '已连上 Caddy', 'connection.off': '连不上 Caddy，正在重试',

    'phone.title': '示例小程序',
    'phone.anonymous': '未登录', 'phone.nameless': '微信用户',
    'phone.login': '登录', 'phone.nickname': '昵称', 'phone.number': '手机号', 'phone.avatar': '头像',
    'phone.choose': '选择', 'phone.fill': '去填写', 'phone.get': '去获取',
    'phone.orders': '我的订单（受保护）', 'phone.load': '查看',
    'phone.wanted': '查看订单需要手机号', 'phone.give': '获取手机号',
    'phone.logout': '退出登录', 'phone.erase': '注销账号', 'phone.change.avatar': '换头像',

    'sheet.phone.title': '申请获取你的手机号', 'sheet.phone.text': '示例小程序申请获取并验证你的手机号',
    'sheet.deny': '不允许', 'sheet.allow': '允许', 'sheet.cancel': '取消', 'sheet.save': '保存',
    'sheet.avatar.title': '选择头像', 'sheet.avatar.album': '从相册选择', 'sheet.avatar.sample': '示例头像 {n}',
    'sheet.nickname.title': '填写昵称',
    'sheet.erase.title': '注销账号？', 'sheet.erase.text': '手机号、昵称、头像和所有登录会话都会被删除。',

    'done.login': '登录成功', 'done.phone': '已绑定手机号', 'done.avatar': '头像已更新', 'done.nickname': '昵称已更新',
    'done.orders': '订单已更新', 'done.logout': '已退出登录', 'done.erase': '账号已注销',
    'done.session': '会话已结束，下次请求会被拒绝', 'done.expire': '微信的 access_token 已过期', 'done.mend': '全部恢复正常', 'done.push': '微信已推送，保存的手机号已删除；刷新或重新登录后 token 里也没有了',

    'break.title': '制造故障',
    'break.hint': '开关改变的是 Caddy 真正遇到的情况。打开后在手机上再点一次；与登录有关的，先退出登录。',
    'break.mend': '全部恢复',
    'break.session': '结束当前会话', 'break.expire': '让 access_token 过期（42001）', 'break.push': '用户撤回手机号授权（推送）',
    busy: '微信繁忙', 'busy.hint': '-1 · 登录和手机号',
    minute_quota: '超出每分钟限额', 'minute_quota.hint': '45011 · 登录和手机号',
    day_quota: '今日额度用完', 'day_quota.hint': '45009 · 登录和手机号',
    code_used: 'code 已被使用', 'code_used.hint': '40163 · 登录',
    user_blocked: '高风险用户被拦截', 'user_blocked.hint': '40226 · 登录',
    ip_not_allowed: '服务器 IP 不在白名单', 'ip_not_allowed.hint': '40164 · 登录',
    short_tokens: 'token 10 秒过期', 'short_tokens.hint': 'Caddy 改配置并重载',
    hook_denies: '你的后端（hook）拒绝', 'hook_denies.hint': '登录、手机号、刷新',

    'inspector.title': '观察',
    'tab.traffic': '请求', 'tab.token': 'token', 'tab.backend': '后端', 'tab.sessions': '会话',
    'lane.phone': '手机', 'lane.site': '小程序 → Caddy', 'lane.wechat': 'Caddy → 微信', 'lane.hook': 'Caddy → hook', 'lane.push': '微信 → Caddy',
    'traffic.empty': '在手机上点“登录”，请求会出现在这里。', 'traffic.other': '其他来源',
    'part.request': '请求', 'part.response': '响应', 'part.headers': '请求头', 'part.response.headers': '响应头', 'part.query': '查询参数', 'part.body': '请求体', 'part.answer': '响应体',
    'no.answer': '无响应',

    'token.empty': '还没有 token：先登录。',
    'token.header': '头部', 'token.claims': '声明（claims）', 'token.raw': 'token 原文',
    'token.note': '任何语言的 JWT 库都能用 {url} 里的公钥验证它。',
    'token.valid': '还有 {n} 秒过期', 'token.over': '已过期：下次请求会先刷新',
    'claim.sub': '就是 openid', 'claim.iss': '签发者', 'claim.aud': '受众：默认是 appid', 'claim.iat': '签发时间', 'claim.exp': '过期时间',
    'claim.jti': 'token 编号', 'claim.sid': '所属会话', 'claim.phone': '微信给的手机号', 'claim.kid': '用哪个密钥签名', 'claim.alg': '签名算法',

    'backend.empty': '还没有请求到达后端：在手机上查看订单。',
    'backend.note': '{path} 到达后端时带着这些请求头。后端不懂微信，只读 X-WX-*。',
    'backend.headers': '后端收到的请求头',

    'sessions.empty': '还没有会话：先登录。', 'sessions.off': '没有配置 Caddy 的管理接口，看不到会话。', 'sessions.none': 'Caddy 没有保存这个用户。',
    'sessions.note': '来自 Caddy 的管理接口，和 caddy wechat-auth show 看到的一样。',
    'sessions.this': '当前', 'sessions.end': '结束', 'sessions.created': '建立', 'sessions.used': '最近使用', 'sessions.ends': '闲置到期', 'sessions.list': '有效的会话', 'sessions.stored': '保存的用户资料', 'sessions.sid': '会话', 'sessions.act': '操作',

    'tap.login': '登录', 'tap.phone': '获取手机号', 'tap.avatar': '选头像', 'tap.nickname': '填昵称', 'tap.orders': '查看订单', 'tap.logout': '退出登录', 'tap.erase': '注销账号', 'tap.push': '撤回手机号授权',

    'error.cancelled': '你没有允许', 'error.logged_out': '请先登录', 'error.offline': '没有网络', 'error.network': '网络异常，请重试', 'error.timeout': '请求超时，请重试',
    'error.phone_required': '请先提供手机号', 'error.user_blocked': '该微信账号暂时无法登录', 'error.denied': '你没有使用权限',
    'error.rate_limited': '操作太频繁，请稍后再试', 'error.wechat_unavailable': '微信正忙，请稍后再试', 'error.wechat_misconfigured': '服务配置有误，请联系客服',
    'error.code_used': '登录凭证已失效，请重试', 'error.code_invalid': '登录凭证无效，请重试', 'error.session_revoked': '登录已失效，请重新登录',
    'error.login_failed': '登录失败，请重试', 'error.unsupported_media_type': '图片无法识别，请换一张', 'error.payload_too_large': '图片太大，请换一张',
    'error.other': '出错了，请稍后再试',
  },
  en: {
    title: 'wechat_auth playground',
    subtitle: 'Tap the phone, and watch every real request between the mini program, Caddy, WeChat and your backend.',
    language: '中文',
    owner: 'Phone of',
    xiaoming: 'Xiao Ming', xiaohong: 'Xiao Hong',
    'connection.on': 'Connected to Caddy', 'connection.off': 'Caddy does not answer; trying again',

    'phone.title': 'Sample mini program',
    'phone.anonymous': 'Not logged in', 'phone.nameless': 'WeChat user',
    'phone.login': 'Log in', 'phone.nickname': 'Nickname', 'phone.number': 'Phone number', 'phone.avatar': 'Avatar',
    'phone.choose': 'Choose', 'phone.fill': 'Fill in', 'phone.get': 'Get it',
    'phone.orders': 'My orders (protected)', 'phone.load': 'Show',
    'phone.wanted': 'Your orders need a phone number', 'phone.give': 'Get phone number',
    'phone.logout': 'Log out', 'phone.erase': 'Delete my account', 'phone.change.avatar': 'Change avatar',

    'sheet.phone.title': 'Share your phone number', 'sheet.phone.text': 'The sample mini program asks for your phone number, verified by WeChat',
    'sheet.deny': 'Do not allow', 'sheet.allow': 'Allow', 'sheet.cancel': 'Cancel', 'sheet.save': 'Save',
    'sheet.avatar.title': 'Choose an avatar', 'sheet.avatar.album': 'From the album', 'sheet.avatar.sample': 'Sample {n}',
    'sheet.nickname.title': 'Your nickname',
    'sheet.erase.title': 'Delete your account?', 'sheet.erase.text': 'Phone number, nickname, avatar and every session will be deleted.',

    'done.login': 'Logged in', 'done.phone': 'Phone number added', 'done.avatar': 'Avatar changed', 'done.nickname': 'Nickname changed',
    'done.orders': 'Orders loaded', 'done.logout': 'Logged out', 'done.erase': 'Account deleted',
    'done.session': 'Session ended: the next request is refused', 'done.expire': "WeChat's access_token has expired", 'done.mend': 'All works again', 'done.push': 'WeChat pushed it: the stored phone is gone, and from the token after the next refresh or login',

    'break.title': 'Break things',
    'break.hint': 'Each switch changes what Caddy really meets. Turn one on and tap the phone again; log out first for those of the login.',
    'break.mend': 'Reset',
    'break.session': 'End this session', 'break.expire': 'Expire the access_token (42001)', 'break.push': 'User takes the phone back (push)',
    busy: 'WeChat is busy', 'busy.hint': '-1 · login, phone',
    minute_quota: "Minute's quota used up", 'minute_quota.hint': '45011 · login, phone',
    day_quota: "Day's quota used up", 'day_quota.hint': '45009 · login, phone',
    code_used: 'Code used before', 'code_used.hint': '40163 · login',
    user_blocked: 'WeChat blocks the user', 'user_blocked.hint': '40226 · login',
    ip_not_allowed: 'Server IP not allowed', 'ip_not_allowed.hint': '40164 · login',
    short_tokens: 'Tokens expire in 10 s', 'short_tokens.hint': 'Caddy reloads with another ttl',
    hook_denies: 'Backend (hook) says no', 'hook_denies.hint': 'login, phone, refresh',

    'inspector.title': 'Inspector',
    'tab.traffic': 'Requests', 'tab.token': 'Token', 'tab.backend': 'Backend', 'tab.sessions': 'Sessions',
    'lane.phone': 'Phone', 'lane.site': 'Mini program → Caddy', 'lane.wechat': 'Caddy → WeChat', 'lane.hook': 'Caddy → hook', 'lane.push': 'WeChat → Caddy',
    'traffic.empty': 'Tap “Log in” on the phone, and the requests show up here.', 'traffic.other': 'From elsewhere',
    'part.request': 'Request', 'part.response': 'Response', 'part.headers': 'Request headers', 'part.response.headers': 'Response headers', 'part.query': 'Query', 'part.body': 'Request body', 'part.answer': 'Response body',
    'no.answer': 'no answer',

    'token.empty': 'No token yet: log in first.',
    'token.header': 'Header', 'token.claims': 'Claims', 'token.raw': 'The token itself',
    'token.note': 'A JWT library of any language verifies it with the public keys at {url}.',
    'token.valid': 'expires in {n} s', 'token.over': 'expired: the next request renews it first',
    'claim.sub': 'the openid', 'claim.iss': 'issuer', 'claim.aud': 'audience: the appid unless configured', 'claim.iat': 'issued at', 'claim.exp': 'valid until',
    'claim.jti': 'id of this token', 'claim.sid': 'its session', 'claim.phone': 'as WeChat gives it', 'claim.kid': 'the key that signed', 'claim.alg': 'signature',

    'backend.empty': 'Nothing reached the backend yet: show the orders on the phone.',
    'backend.note': '{path} reached the backend with these headers. It knows nothing of WeChat and reads X-WX-*.',
    'backend.headers': 'Headers that the backend got',

    'sessions.empty': 'No session yet: log in first.', 'sessions.off': "Caddy's admin API is not configured, so sessions cannot be shown.", 'sessions.none': 'Caddy knows no such user.',
    'sessions.note': "From Caddy's admin API, as caddy wechat-auth show prints it.",
    'sessions.this': 'this one', 'sessions.end': 'End', 'sessions.created': 'Began', 'sessions.used': 'Last use', 'sessions.ends': 'Idle until', 'sessions.list': 'Live sessions', 'sessions.stored': 'What is stored of the user', 'sessions.sid': 'Session', 'sessions.act': 'Action',

    'tap.login': 'Log in', 'tap.phone': 'Get phone number', 'tap.avatar': 'Choose avatar', 'tap.nickname': 'Fill in nickname', 'tap.orders': 'Show orders', 'tap.logout': 'Log out', 'tap.erase': 'Delete account', 'tap.push': 'Take the phone back',

    'error.cancelled': 'You did not allow it', 'error.logged_out': 'Please log in first', 'error.offline': 'No network', 'error.network': 'The network failed, try again', 'error.timeout': 'No answer in time, try again',
    'error.phone_required': 'A phone number is needed first', 'error.user_blocked': 'This WeChat account cannot log in at present', 'error.denied': 'You may not use this',
    'error.rate_limited': 'Too many tries, come back later', 'error.wechat_unavailable': 'WeChat is busy, try again later', 'error.wechat_misconfigured': 'The service is set up wrongly, please contact us',
    'error.code_used': 'The login expired, try again', 'error.code_invalid': 'The login is not valid, try again', 'error.session_revoked': 'You were logged out, please log in again',
    'error.login_failed': 'Login failed, try again', 'error.unsupported_media_type': 'This picture cannot be read, take another', 'error.payload_too_large': 'This picture is too large, take another',
    'error.other': 'Something went wrong, try again later',
  },
}

let language = localStorage.getItem('playground.language') ?? (navigator.language.toLowerCase().startsWith('zh') ? 'zh' : 'en')
if (!(language in texts)) language = 'en'

const listeners = []

/** The text of a key, its {names} replaced. */
export function t(key, values = {}) {
  const text = texts[language][key] ?? key
  return text.replace(/\{(\w+)\}/g, (_, name) => values[name] ?? '')
}

/** Whether there is a text of that key. */
export const known = (key) => key in texts[language]

/** Gives an element the text of its key. */
export function translate(node) {
  node.textContent = t(node.dataset.i18n, node.dataset)
}

/** Shows a text in an element from now on, in whatever language. */
export function say(node, key, values = {}) {
  Object.assign(node.dataset, values, { i18n: key })
  translate(node)
}

/** Calls a function now and after each change of the language. */
export function onLanguage(listener) {
  listeners.push(listener)
  listener()
}

export function switchLanguage() {
  language = language === 'zh' ? 'en' : 'zh'
  localStorage.setItem('playground.language', language)
  translateAll()
  for (const listener of listeners) listener()
}

/** Gives all of the page its texts. */
export function translateAll() {
  document.documentElement.lang = language === 'zh' ? 'zh-CN' : 'en'
  document.title = t('title')
  for (const node of document.querySelectorAll('[data-i18n]')) translate(node)
}
