-- Makes the requests of load.sh. Arguments: what, a file of what to send, and for code and login a file for what comes of it.
-- Sessions are lines of an access and a refresh token.
local what, lines, first, headers

local function post(path, body)
	return wrk.format("POST", path, headers, body)
end

local makers = {
	get = function()
		headers.Authorization = "Bearer " .. lines[math.random(#lines)]:match("^%S+")
		return wrk.format("GET", "/api/orders?page=2", headers)
	end,
	code = function()
		return post("/sandbox/codes", ('{"user":"user%d","kind":"login"}'):format(math.random(900)))
	end,
	login = function(code) return post("/auth/login", '{"code":"' .. code .. '"}') end,
	refresh = function(session) return post("/auth/refresh", '{"refresh_token":"' .. session:match("%S+$") .. '"}') end,
}

function init(args)
	what, lines, first = args[1], {}, 1
	for line in io.lines(args[2]) do lines[#lines + 1] = line end
	headers = {
		["Accept"] = "*/*", ["Accept-Encoding"] = "gzip,compress,br,deflate",
		["Content-Type"] = "application/json", ["Referer"] = "https://servicewechat.com/wx0123456789abcdef/12/page-frame.html",
		["User-Agent"] = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) MicroMessenger/8.0.50(0x1800322f) NetType/WIFI Language/zh_CN",
	}
	if what == "get" then return end
	local out = args[3] and io.open(args[3], "w")
	function response(status, _, body)
		local access, refresh = body:match('"access_token":"([^"]+)"'), body:match('"refresh_token":"([^"]+)"')
		local line = refresh and access .. " " .. refresh or body:match('"code":"([^"]+)"')
		if status ~= 200 or not line then return end
		if out then
			out:write(line, "\n")
			out:flush()
		else -- a spent refresh token's successor
			lines[#lines + 1] = line
		end
	end
end

function request()
	if what == "get" or what == "code" then return makers[what]() end
	if what == "login" then return makers.login(table.remove(lines)) end -- the fake forgets the oldest codes
	first = first + 1
	return makers.refresh(lines[first - 1])
end

function done(summary, latency)
	local e = summary.errors
	io.write(("RESULT %d %d %d %d\n"):format(summary.requests, summary.duration, latency:percentile(99),
		e.connect + e.read + e.write + e.status + e.timeout))
end
