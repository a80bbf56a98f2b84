// A user's day behind nginx, which asks Caddy whose each request is.
//
//   node nginx.mjs <site> <where codes come from>
//
// Without codes: what a client says that has no tokens, and finds Caddy away.
import { WechatAuth } from '../wechatauth.js'
import { Phone } from './wx.mjs'

const [site, codes] = process.argv.slice(2)
const code = async (kind) => (await (await fetch(`${codes}/${kind}`)).json()).code
const phone = new Phone({ loginCode: () => code('login') })
const refreshes = { count: 0 }
const { request } = phone.wx
phone.wx.request = (options) => {
  if (options.url.endsWith('/auth/refresh')) refreshes.count++
  return request(options)
}
const auth = new WechatAuth({ baseURL: site, wx: phone.wx, maxWait: codes ? 5000 : 0 })
if (!codes) {
  phone.loginCode = async () => 'code'
  const why = ({ code, status, retryAfter }) => [code, status, retryAfter]
  console.log(JSON.stringify([await auth.request({ url: '/hello' }).catch(why), await auth.login().catch(why)]))
  process.exit()
}

const openid = async () => (await auth.request({ url: '/hello' })).data.Identity['X-WX-OPENID']

const seen = [await openid()]
const real = Date.now
await new Promise((done) => setTimeout(done, 3100))
Date.now = () => real() - 3000 // this phone thinks that its token is still good, and nginx refuses it
seen.push(await openid())
Date.now = real
seen.push(await auth.request({ url: '/orders/1' }).catch((e) => e.status))
await auth.bindPhone({ code: await code('phone') })
seen.push((await auth.request({ url: '/orders/1' })).data.Identity['X-WX-PHONE'])
seen.push((await auth.setNickname('Alice')).nickname)
seen.push([phone.logins, Math.min(refreshes.count, 1)])
console.log(JSON.stringify(seen))
