// 把 LeanCloud 导出的 _User（JSONL，每行一个用户）变成 caddy wechat-auth import 的格式。
// Turns the class _User that LeanCloud exports (JSONL, a user a line) into what caddy wechat-auth import reads.
//
//   node leancloud.mjs < _User.jsonl > users.jsonl 2> ids.csv
//
// ids.csv 是 openid 和 objectId 的对照表，后端用它找到原来的数据。
// ids.csv says which openid was which objectId, for your backend to find its data.
import { createInterface } from 'node:readline'

const time = (value) => value?.iso ?? value // 导出里两种写法都有可能 / either form may be there
let without = 0

for await (const line of createInterface({ input: process.stdin })) {
  if (!line.startsWith('{')) continue // 空行，或说明格式的第一行 / blank, or a first line about the format
  const user = JSON.parse(line)
  const openid = user.authData?.lc_weapp?.openid // session_key 也在那里，不要带走 / a session_key is there too: leave it
  if (!openid) {
    without++ // 没有在小程序里登录过 / never logged in with the mini program
    continue
  }
  const phone = user.mobilePhoneVerified ? user.mobilePhoneNumber : undefined
  console.log(JSON.stringify({ openid, phone, first_seen: time(user.createdAt) }))
  console.error(`${openid},${user.objectId}`)
}
if (without > 0) console.error(`# ${without} without openid`)
