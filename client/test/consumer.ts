// A mini program's code as its compiler sees it: against WeChat's own types, with `strict`.

import { WechatAuth, WechatAuthError, type User } from '../wechatauth'

interface Order {
  id: number
}

export const auth = new WechatAuth({ baseURL: 'https://api.example.com', wx })

Page({
  data: { user: null as User | null, needsPhone: false },

  stop() {},

  onLoad() {
    this.stop = auth.on('change', ({ user }) => this.setData({ user }))
  },

  onUnload() {
    this.stop()
  },

  async load() {
    try {
      const { data, statusCode } = await auth.request<Order[]>({ url: '/orders', enableHttp2: true })
      const first: number | undefined = data[0]?.id
      console.log(first, statusCode.toFixed())
    } catch (e) {
      if (!(e instanceof WechatAuthError)) throw e
      if (e.code === 'phone_required') this.setData({ needsPhone: true })
      else if (e.code === 'made_by_the_backend') console.log(e.response?.data, e.retryAfter)
    }
  },

  async onPhone(e: WechatMiniprogram.ButtonGetPhoneNumber) {
    const user = await auth.bindPhone(e)
    console.log(user.phone?.slice(0, 3))
  },

  onRealtimePhone: (e: WechatMiniprogram.CustomEvent<{ code?: string; errno?: number; errMsg: string }>) => auth.bindPhone(e),
  onAvatar: (e: WechatMiniprogram.CustomEvent<{ avatarUrl: string }>) => auth.setAvatar(e, 'Alice'),
  onNickname: (e: WechatMiniprogram.InputBlur) => auth.setNickname(e),

  async upload(filePath: string) {
    const { data } = await auth.uploadFile({
      url: '/files', filePath, name: 'file',
      onTask: (task: WechatMiniprogram.UploadTask) => task.onProgressUpdate(({ progress }) => console.log(progress)),
    })
    const text: string = data
    const { tempFilePath } = await auth.downloadFile({ url: '/files/1' })
    return text + tempFilePath
  },

  async chat() {
    const socket = await auth.connectSocket<WechatMiniprogram.SocketTask>({ url: '/ws', protocols: ['chat'] })
    socket.onMessage(({ data }) => console.log(data))
  },
})

// @ts-expect-error the site is required
new WechatAuth({})
// @ts-expect-error callbacks are not taken
auth.request({ url: '/x', success() {} })
// @ts-expect-error no such event
auth.on('login', () => {})
// @ts-expect-error the user is read-only
auth.user = null
