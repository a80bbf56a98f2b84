// The one client of all pages.

const { WechatAuth } = require('./lib/wechatauth.js')
const { baseURL } = require('./config.js')

module.exports = new WechatAuth({ baseURL })
