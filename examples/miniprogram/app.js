// The start of the mini program. Nobody logs in here: the client does so when a page needs it.

const privacy = require('./privacy.js')

App({
  onLaunch() {
    privacy.start()
  },
})
