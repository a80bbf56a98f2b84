// The one setting of this mini program.

// The site that wechat_auth guards: here the quick start's on this machine, which only the developer tool may call.
// For the real thing: 'https://api.example.com'
const baseURL = 'http://127.0.0.1:8080'

// Whether there is a fake WeChat behind it. Outside the developer tool WeChat takes https alone, so no user sees the
// help for developers that this shows.
const sandbox = baseURL.startsWith('http:')

module.exports = { baseURL, sandbox }
