// Verifies access tokens as a backend in JavaScript does, with jose and the published keys.
//
// Each line of standard input is a question, and each gets a line of answer:
//
//   {"jwks": "<url>" or "secret": "<text>", "algorithm", "issuer", "audience", "token"}
//   {"claims": {…}, "kid": "…"} or {"error": "<code of jose>"}
import { createInterface } from 'node:readline'
import { createRemoteJWKSet, jwtVerify } from 'jose'

const keySets = new Map() // a key set is fetched once and kept

function keysOf({ jwks, secret }) {
  if (secret) return new TextEncoder().encode(secret)
  if (!keySets.has(jwks)) keySets.set(jwks, createRemoteJWKSet(new URL(jwks)))
  return keySets.get(jwks)
}

async function verify(question) {
  const { payload, protectedHeader } = await jwtVerify(question.token, keysOf(question), {
    algorithms: [question.algorithm],
    issuer: question.issuer,
    audience: question.audience,
    typ: 'JWT',
    requiredClaims: ['exp', 'sub', 'openid', 'appid'],
  })
  return { claims: payload, kid: protectedHeader.kid }
}

for await (const line of createInterface({ input: process.stdin })) {
  const answer = await verify(JSON.parse(line)).catch((err) => ({ error: err.code ?? String(err) }))
  console.log(JSON.stringify(answer))
}
