// 相信 Caddy 给的请求头。只监听 127.0.0.1，别人就没法绕过 Caddy 来伪造。
// Trusts the headers that Caddy sets. It listens on 127.0.0.1, so that nobody can send them past Caddy.
//
//   npm ci && node headers.mjs
import express from 'express'

const app = express()

function user(req, res, next) {
  const openid = req.get('X-WX-OPENID')
  if (!openid) return res.status(401).json({ error: 'no_user' }) // public 路径，或匿名 / a public path, or anonymous
  req.user = { openid, appid: req.get('X-WX-APPID'), phone: req.get('X-WX-PHONE') }
  next()
}

app.get('/me', user, (req, res) => res.json(req.user))

app.listen(process.env.PORT ?? 3000, '127.0.0.1')
