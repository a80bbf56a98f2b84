// 不相信请求头，自己校验 JWT。公钥从 Caddy 取，换密钥不用重启。
// Verifies the JWT instead of trusting headers. The public keys come from Caddy; a new one needs no restart.
//
//   npm ci && AUDIENCE=wx0123456789abcdef JWKS_URL=http://localhost:8080/auth/.well-known/jwks.json node jwt.mjs
import express from 'express'
import { createRemoteJWKSet, jwtVerify } from 'jose'

const { AUDIENCE, JWKS_URL, PORT = 3000 } = process.env
const keys = createRemoteJWKSet(new URL(JWKS_URL), { cooldownDuration: 5000 }) // 不认识的 kid，至多 5 秒问一次 / asks for an unknown kid at most every 5 s
const rules = {
  algorithms: ['ES256'],
  issuer: 'wechat_auth',
  audience: AUDIENCE.split(','), // 几个小程序就写几个 AppID / one for each mini program
  clockTolerance: 30, // 秒，两台机器的时钟总有差别 / seconds: clocks differ
  requiredClaims: ['exp', 'openid', 'appid'],
}

async function user(req, res, next) {
  const [, token = ''] = /^Bearer (.+)$/i.exec(req.get('Authorization') ?? '') ?? []
  try {
    const { openid, appid, phone } = (await jwtVerify(token, keys, rules)).payload
    req.user = { openid, appid, phone }
  } catch (err) { // 取不到公钥是 503，不要让用户重新登录 / no keys: 503, for a new login would not help
    const away = !err.code?.startsWith('ERR_J') || ['ERR_JOSE_GENERIC', 'ERR_JWKS_TIMEOUT'].includes(err.code)
    return res.status(away ? 503 : 401).json({ error: away ? 'keys_unavailable' : 'token_invalid' })
  }
  next()
}

const app = express()
app.get('/me', user, (req, res) => res.json(req.user))
app.listen(PORT, '127.0.0.1')
