// A hook for wechat_auth: lets in whoever is on the list, and makes one of them an admin.
import { createHmac, timingSafeEqual } from 'node:crypto'
import { createServer } from 'node:http'

const staff = { 13800138000: 'admin', 13800138001: 'clerk' }
const [host, port] = process.env.HOOK_ADDRESS.split(':')

async function answer(req, res) {
  const chunks = []
  for await (const chunk of req) chunks.push(chunk)
  const body = Buffer.concat(chunks)
  const signature = Buffer.from('sha256=' + createHmac('sha256', process.env.HOOK_SECRET).update(body).digest('hex'))
  const sent = Buffer.from(req.headers['x-signature'] ?? '')
  if (sent.length !== signature.length || !timingSafeEqual(sent, signature)) return res.writeHead(401).end('not from Caddy')
  const { phone } = JSON.parse(body)
  let verdict = { allow: true }
  if (phone) { // a login before the phone is known passes, without a role
    const role = staff[phone]
    verdict = { allow: role !== undefined, reason: 'only staff', claims: { role } }
  }
  res.end(JSON.stringify(verdict))
}

// Who hangs up half-way must not end the server.
createServer((req, res) => answer(req, res).catch(() => res.destroy())).listen(port, host)
