// The types of wechatauth.js, with everything that is to be known to use it.
//
// Times are milliseconds, as in wx.request, except `retryAfter`, which is seconds, as in HTTP.

/**
 * The client of one site. It needs no `login()`: it logs in silently when a request needs it, renews tokens before they
 * expire and whenever an answer is 401, and repeats the request once.
 *
 * Several clients of one site share tokens, one login, one renewal and one queue; copies of the file, as in independent
 * subpackages, share the tokens through the storage.
 *
 *     const auth = new WechatAuth({ baseURL: 'https://api.example.com' })
 *     const { data } = await auth.request({ url: '/orders/1' })
 */
export class WechatAuth {
  /** Makes no request and reads no storage. Throws a TypeError for options that cannot work. */
  constructor(options: WechatAuthOptions)

  /** The user as last seen, also after a restart; null before the first login and after a logout. */
  readonly user: User | null

  /** Whether there are tokens, so that requests are somebody's. The server has the last word. */
  readonly loggedIn: boolean

  /** See {@link State}. */
  readonly state: State

  /**
   * Logs in if there is no session, and leaves the logged-out state. Only the login button after a logout needs it;
   * otherwise requests log in by themselves. Resolves with the user; without any request where a session is known.
   */
  login(options?: LoginOptions): Promise<User>

  /**
   * `wx.request` with the token. Takes its options except `success`, `fail` and `complete`, and a url relative to
   * `baseURL`; the token never goes to another host, nor where the header `Authorization` is given. WeChat follows
   * redirects by itself, and no page of its says whether headers go along: a path that redirects to other hosts needs
   * `redirect: 'manual'` or `auth: 'none'`.
   *
   * What was begun before a logout rejects with `logged_out` rather than go on as the next user.
   *
   * Resolves with wx.request's result for statuses below 400, and rejects with a {@link WechatAuthError} otherwise.
   *
   * Without tokens a request goes out as it is: an answer of a `public` path costs no login. A 401 makes it log in and
   * repeats it, once. Where a path is known to need a user, or is `optional` and should know him, `auth: 'required'`
   * saves that round trip. A 401 repeats a request of any method, since it was refused; so do 429 and 503
   * if the server says when to come again and that is within `maxWait`. What broke on the way is repeated for GET, HEAD
   * and OPTIONS alone, once; if WeChat interrupted it in the background, when the app is shown again. What timed out is not.
   */
  request<T = any>(options: RequestOptions): Promise<RequestResult<T>>

  /**
   * `wx.uploadFile` with the token. It logs in and renews first, so that a file is not sent in vain; otherwise as
   * {@link WechatAuth.request}. `data` is a string, as WeChat gives it.
   */
  uploadFile(options: UploadOptions): Promise<UploadResult>

  /** `wx.downloadFile` with the token, repeated as a GET; otherwise as {@link WechatAuth.uploadFile}. */
  downloadFile(options: DownloadOptions): Promise<DownloadResult>

  /**
   * `wx.connectSocket` with the token in the header Authorization. Resolves with the open SocketTask: add `onMessage`
   * at once. The url may be relative or begin with wss:// or https://. WeChat does not say why a connection was refused; one
   * with a token that was not fresh is tried once more with a new one. The token is checked when the connection opens;
   * an open one does not end with the session.
   */
  connectSocket<Task = any>(options: SocketOptions): Promise<Task>

  /**
   * Sends on what a phone button gave: the event of getPhoneNumber or getRealtimePhoneNumber, coupled with
   * agreePrivacyAuthorization or not, or the result of wx.getPhoneNumber in AI mode. Resolves with the user, now with phone.
   *
   * A tap costs money: a lost answer is asked for again with the same code, for up to a minute. Without a session the
   * code goes along with the login, in one request.
   *
   * Rejects without any request if the user or WeChat said no: cancelled, privacy_refused, privacy_undeclared,
   * privacy_banned, phone_quota, phone_blocked, phone_not_permitted, too_frequent.
   */
  bindPhone(event: PhoneEvent): Promise<User>

  /**
   * Uploads the picture of a chooseAvatar button's event, or of a path; with a nickname in the same request if given.
   * Resolves with the user. Rejects with cancelled and the privacy codes as {@link WechatAuth.bindPhone}.
   */
  setAvatar(event: AvatarEvent | string, nickname?: string): Promise<User>

  /** Sends a nickname: a string, or an event (blur, change, confirm) of `<input type="nickname">`. Resolves with the user. */
  setNickname(event: NicknameEvent | string): Promise<User>

  /**
   * Deletes everything that the server knows of the user and ends every session; then logged out. If it rejects, nothing
   * is certain, and it may be called again.
   */
  erase(): Promise<void>

  /**
   * Logs out. The tokens are gone from the phone when it returns its promise, and requests do not log in again before
   * `login()`, also over a restart. Resolves when the server has ended the session, or with `all` every session of the user;
   * if it rejects, the phone is logged out, and calling it again or `login()` tells the server.
   */
  logout(options?: LogoutOptions): Promise<void>

  /**
   * An access token that is valid now, for requests that are sent in other ways. It logs in and renews as needed.
   * `refused` is a token that got a 401: another one is returned.
   */
  token(options?: { refused?: string }): Promise<string>

  /** The url of a path of the site, such as `user.avatar`. */
  url(path: string): string

  /**
   * Calls `listener` after each change of the user or the state, whoever made it.
   * Returns a function that ends it: call it in a page's onUnload.
   */
  on(event: 'change', listener: (now: Change) => void): () => void
}

export interface WechatAuthOptions {
  /** The site, such as `https://api.example.com`, without query. WeChat itself takes http only in the developer tool. */
  baseURL: string
  /** `base_path` of wechat_auth. Default: `/auth` */
  basePath?: string
  /** Needed only where several mini programs share a site and the Referer does not reach it. Default: not sent */
  appid?: string
  /** `wx`, `uni` or `Taro`, or what behaves like them. Default: the global `wx` */
  wx?: WxLike
  /**
   * The beginning of the key under which tokens are stored. baseURL, basePath, appid and envVersion (develop, trial,
   * release) follow, so that environments never mix. Default: `wechatauth`
   */
  storageKey?: string
  /** Milliseconds for one request to wechat_auth's own routes, uploads apart. Default: 10000 */
  timeout?: number
  /** The longest that a 429 or 503 is waited for before the one repeat, in milliseconds. Default: 5000 */
  maxWait?: number
  /**
   * Requests, uploads and downloads at once, over all clients; more wait in order. Default and maximum: 8, for WeChat
   * has 10, and two stay free for logins and renewals
   */
  maxConcurrent?: number
}

/**
 * - `anonymous`: no login yet; requests log in when they have to
 * - `logged_in`: there are tokens
 * - `logged_out`: after `logout()` or `erase()`, until `login()`; requests that need a user reject with `logged_out`
 */
export type State = 'anonymous' | 'logged_in' | 'logged_out'

export interface Change {
  user: User | null
  state: State
}

export interface User {
  appid: string
  openid: string
  unionid?: string
  /** As WeChat gives it: `13800138000`, with country code outside China */
  phone?: string
  /** E.164: `+8613800138000` */
  phone_number?: string
  nickname?: string
  /** A path of the site, see {@link WechatAuth.url}. It changes with the picture. */
  avatar?: string
  /** Whether the last login was the user's first */
  new?: boolean
}

export interface LoginOptions {
  /**
   * The event of a phone button: login and phone in one request. If only the phone fails, it rejects and the login
   * stands; bindPhone takes the same event again, for instance after wechat_unavailable.
   */
  phone?: PhoneEvent
  /** A new login even if there is a session, for instance for new claims of the hook. Default: false */
  force?: boolean
}

export interface LogoutOptions {
  /** End every session of the user, on all devices. Default: false */
  all?: boolean
}

/** What each try of a request may do. */
interface AuthOptions {
  /**
   * - `auto`: the token if there is one; log in at a 401. The default of `request`
   * - `required`: log in first. The default of uploads, downloads and sockets
   * - `none`: no token, and a 401 is an error
   */
  auth?: 'auto' | 'required' | 'none'
  /** Called with WeChat's task of each try, for progress and abort. */
  onTask?(task: any): void
  header?: object
  /** Milliseconds. Default: WeChat's, 60000 */
  timeout?: number
  /** The promise takes their place. */
  success?: never
  fail?: never
  complete?: never
}

export interface RequestOptions extends AuthOptions {
  url: string
  method?: 'OPTIONS' | 'GET' | 'HEAD' | 'POST' | 'PUT' | 'DELETE' | 'TRACE' | 'CONNECT'
  data?: string | object | ArrayBuffer
  /** All others of wx.request: dataType, responseType, enableHttp2 … */
  [option: string]: any
}

export interface RequestResult<T = any> {
  data: T
  statusCode: number
  header: { [name: string]: any }
  cookies?: string[]
  errMsg: string
  [more: string]: any
}

export interface UploadOptions extends AuthOptions {
  url: string
  filePath: string
  /** The name of the file's part of the form */
  name: string
  formData?: { [name: string]: any }
  [option: string]: any
}

export interface UploadResult {
  data: string
  statusCode: number
  errMsg: string
  [more: string]: any
}

export interface DownloadOptions extends AuthOptions {
  url: string
  filePath?: string
  [option: string]: any
}

export interface DownloadResult {
  tempFilePath: string
  filePath?: string
  statusCode: number
  errMsg: string
  [more: string]: any
}

export interface SocketOptions extends AuthOptions {
  url: string
  protocols?: string[]
  [option: string]: any
}

/** What bindgetphonenumber and bindgetrealtimephonenumber give, or its `detail`. */
export type PhoneEvent = { detail: PhoneDetail } | PhoneDetail

export interface PhoneDetail {
  errMsg?: string
  errno?: number
  code?: string
  cloudID?: string
  encryptedData?: string
  iv?: string
}

/** What bindchooseavatar gives, or its `detail`. */
export type AvatarEvent = { detail: AvatarDetail } | AvatarDetail

export interface AvatarDetail {
  avatarUrl?: string
  errMsg?: string
  errno?: number
}

export interface NicknameEvent {
  detail: { value: string }
}

/**
 * Why a call failed. `code` is what to decide by; `description` is for developers, not for users.
 *
 *     auth.request({ url: '/orders' }).catch((e) => { if (e.code === 'phone_required') showPhoneButton() })
 */
export class WechatAuthError extends Error {
  readonly name: 'WechatAuthError'
  /** The server's `error` (README, Errors), or one of {@link ClientCode}, or `http_404` and the like where the server named none */
  readonly code: ClientCode | ServerCode | (string & {})
  /** `error_description`, or an English sentence of this client; also part of `message` */
  readonly description: string
  /** HTTP status; undefined where there was no answer */
  readonly status?: number
  /** WeChat's server errcode, such as 40029, if the server passed one on */
  readonly errcode?: number
  /** WeChat's client errno, such as 104 */
  readonly errno?: number
  /** WeChat's errMsg; localised, so not to be compared */
  readonly errMsg?: string
  /** The id of WeChat's call, for WeChat's support */
  readonly rid?: string
  /** Seconds after which another try makes sense, if the server said so */
  readonly retryAfter?: number
  /** The whole result of wx.request where there was an answer, for errors of your own backend; not with bad_answer */
  readonly response?: RequestResult<any>
}

/** The codes that come from this client. */
export type ClientCode =
  | 'offline' // the phone has no network
  | 'timeout'
  | 'network' // the connection failed or broke; the server may have got the request
  | 'interrupted' // WeChat stopped it in the background
  | 'aborted' // by task.abort()
  | 'request_invalid' // WeChat or this client refuses the request as it is: url not in the domain list, callbacks given …
  | 'bad_answer' // not wechat_auth: a captive portal, a wrong baseURL or basePath
  | 'logged_out' // needs a user, after logout() or erase()
  | 'login_failed' // wx.login gave no code
  | 'login_blocked' // WeChat has banned the app's login
  | 'socket_failed' // the WebSocket did not open
  | 'cancelled' // the user said no, or WeChat gave nothing without a reason
  | 'privacy_refused' // the user did not agree to the privacy guideline; no new pop-up for 10 seconds
  | 'privacy_undeclared' // the guideline lacks this item: MP 设置 - 服务内容声明 - 用户隐私保护指引
  | 'privacy_banned' // the guideline says that nothing is collected, or there is none
  | 'phone_quota' // the paid quota of phone numbers is used up
  | 'phone_blocked' // WeChat has banned the app's phone ability
  | 'phone_not_permitted' // the account lacks the phone ability, as personal ones do
  | 'too_frequent' // WeChat's own limit

/** The codes of wechat_auth that apps most often decide by; README has them all. */
export type ServerCode =
  | 'phone_required' // show the phone button, then repeat
  | 'code_invalid' | 'code_used' // of the phone: let the user tap again
  | 'session_key_stale' // of the old phone way: let the user tap again
  | 'user_blocked' | 'denied'
  | 'rate_limited' | 'wechat_unavailable' | 'store_unavailable' | 'hook_unavailable' | 'auth_unavailable' // come again
  | 'wechat_misconfigured' | 'wechat_bad_answer' | 'internal' // the operator's business
  | 'payload_too_large' | 'unsupported_media_type'
  | 'token_missing' | 'token_invalid' | 'token_expired' | 'session_revoked' // even after a renewal

/**
 * What is used of `wx`. Calls take callbacks and answer through them, later, once; what they return is the task or a promise,
 * and both are fine. Like WeChat, `request` calls success for every HTTP status and fail only without an answer.
 */
export interface WxLike {
  /** `success({ code })`, `fail({ errMsg, errno? })` */
  login(options: any): any
  /** `success({ data, statusCode, header })`: data parsed if it is JSON, names in header in any case */
  request(options: any): any
  /** `success({ data, statusCode })`: data is a string */
  uploadFile(options: any): any
  downloadFile?(options: any): any
  /** Returns the SocketTask or a promise of it: `onOpen`, `onError`, `onClose` */
  connectSocket?(options: any): any
  /** May throw, or return anything: then the client lives in memory */
  getStorageSync(key: string): any
  setStorageSync(key: string, data: any): void
  removeStorageSync?(key: string): void
  getAccountInfoSync?(): any
  /** `success({ networkType })`, where 'none' is offline */
  getNetworkType?(options: any): any
  onAppShow?(listener: (result: any) => void): any
  onAppHide?(listener: (result: any) => void): any
}
