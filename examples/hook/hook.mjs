// A hook for wechat_auth: lets in whoever is on the list, with a role. The list is read at each question, so
// a role that changes, or somebody who is taken off, counts from the next refresh on.
import { createHmac, timingSafeEqual } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { createServer } from 'node:http'

const [host, port] = process.env.HOOK_ADDRESS.split(':')

// A JSON object of phones and roles, such as {"13800138000": "admin"}.
const staff = async () => new Map(Object.entries(JSON.parse(await readFile(process.env.HOOK_STAFF, 'utf8'))))

async function answer(req, res) {
  const chunks = []
  for await (const chunk of req) chunks.push(chunk)
  const body = Buffer.concat(chunks)
  const signature = Buffer.from('sha256=' + createHmac('sha256', process.env.HOOK_SECRET).update(body).digest('hex'))
  const sent = Buffer.from(req.headers['x-signature'] ?? '')
  if (sent.length !== signature.length || !timingSafeEqual(sent, signature)) return res.writeHead(401).end('not from Caddy')
  const { phone } = JSON.parse(body) // beside event: login, phone or refresh
  const roles = await staff().catch(() => null)
  // Not a "no": on_error decides, and nobody is logged out.
  if (roles === null) return res.writeHead(503).end('the list can\'t be read')
  let verdict = { allow: true }
  if (phone) { // a login before the phone is known passes, without a role
    verdict = { allow: roles.has(phone), reason: 'only staff', claims: { role: roles.get(phone) } }
  }
  res.end(JSON.stringify(verdict))
}

// A client that hangs up half-way must not end the server.
createServer((req, res) => answer(req, res).catch(() => res.destroy())).listen(port, host)
