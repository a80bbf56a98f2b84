-- Sends requests with random ones of the tokens in a file, and tells what came of it in one line.
-- Arguments: the tokens' file, the path, and a name and a value for each further header.
local requests, seed = {}, 0

function setup(thread)
	seed = seed + 1
	thread:set("seed", seed)
end

function init(args)
	math.randomseed(seed)
	local headers = {}
	for i = 3, #args, 2 do headers[args[i]] = args[i + 1] end
	for token in io.lines(args[1]) do
		headers["Authorization"] = "Bearer " .. token
		requests[#requests + 1] = wrk.format("GET", args[2], headers)
	end
end

function request()
	return requests[math.random(#requests)]
end

function done(summary, latency)
	local e = summary.errors
	io.write(string.format('RESULT {"requests":%d,"micros":%d,"p50":%d,"p99":%d,"errors":%d}\n', summary.requests,
		summary.duration, latency:percentile(50), latency:percentile(99), e.connect + e.read + e.write + e.status + e.timeout))
end
