// Answers with every way in which a Node program reads who asks, a line each.
import http from 'node:http'

http.createServer((request, response) => {
  request.resume()
  const lines = Object.entries(request.headers).map(([name, value]) => `HTTP_${name}=${value}\n`)
  for (let i = 0; i < request.rawHeaders.length; i += 2) {
    lines.push(`LIST_${request.rawHeaders[i]}=${request.rawHeaders[i + 1]}\n`)
  }
  let route = request.url
  try {
    route = decodeURIComponent(new URL(request.url, 'http://localhost').pathname)
  } catch { /* as it came */ }
  response.end(lines.join('') + `ROUTE=${route}\n`)
}).listen(Number(process.argv[2]), '127.0.0.1')
