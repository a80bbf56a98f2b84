// A backend that sells virtual goods: it makes the order and has it signed, for wx.requestVirtualPayment. It
// listens on this machine alone, behind Caddy with wechat_auth, which says who asks.
import { createHmac, randomUUID } from 'node:crypto'
import { createServer } from 'node:http'

const { PAYMENT_ADDRESS, SERVICE_URL, SERVICE_SECRET, OFFER_ID, APP_KEY } = process.env
const [host, port] = PAYMENT_ADDRESS.split(':')
const prices = { sword: 600, shield: 100 } // in Fen

async function order(req, res) {
  const openid = req.headers['x-wx-openid']
  const product = new URL(req.url, 'http://x').searchParams.get('product')
  if (!Object.hasOwn(prices, product)) return answer(res, 404, { error: 'no such product' })
  // Both signatures are of this text. The mini program hands it to WeChat as it is: JSON that is written anew
  // has other bytes.
  const signData = JSON.stringify({
    offerId: OFFER_ID, buyQuantity: 1, env: 0, currencyType: 'CNY', productId: product, goodsPrice: prices[product],
    outTradeNo: randomUUID().replaceAll('-', ''), attach: '',
  })
  const signed = await fetch(`${SERVICE_URL}/sign`, {
    method: 'POST', headers: { Authorization: `Bearer ${SERVICE_SECRET}` }, body: JSON.stringify({ openid, data: signData }),
  })
  const { signature, error } = await signed.json()
  // session_key_stale: the mini program logs in and orders again.
  if (signed.status !== 200) return answer(res, signed.status === 409 ? 409 : 502, { error })
  const paySig = createHmac('sha256', APP_KEY).update(`requestVirtualPayment&${signData}`).digest('hex')
  answer(res, 200, { mode: 'short_series_goods', signData, paySig, signature })
}

function answer(res, status, body) {
  res.writeHead(status, { 'Content-Type': 'application/json' }).end(JSON.stringify(body))
}

createServer((req, res) => order(req, res).catch(() => answer(res, 502, { error: 'wechat_unavailable' }))).listen(port, host)
