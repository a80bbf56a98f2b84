-- Answers with every way in which a Lua program in nginx reads who asks, a line each.
ngx.req.read_body()
for name, value in pairs(ngx.req.get_headers()) do
  if type(value) == "table" then value = table.concat(value, "+") end
  ngx.say("HTTP_", name, "=", value)
end
for _, name in ipairs({"x_wx_openid", "x_wx_appid", "x_wx_unionid", "x_wx_source", "x_wx_phone", "x_user", "x_phone_number"}) do
  local value = ngx.var["http_" .. name]
  if value then ngx.say("LIST_", name, "=", value) end
end
ngx.say("ROUTE=", ngx.var.uri)
