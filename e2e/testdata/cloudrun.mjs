// A backend for WeChat Cloud Run: reads what the Express template of WeixinCloud reads, in the same way.
import express from 'express'

const app = express()
let count = 0
app.get('/api/count', (req, res) => res.send({ code: 0, data: ++count }))
app.get('/api/wx_openid', (req, res) => {
  if (req.headers['x-wx-source']) res.send(req.headers['x-wx-openid']) // else it never answers
})
app.listen(process.env.PORT || 80)
