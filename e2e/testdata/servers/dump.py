# Answers with every way in which a Python program reads who asks, a line each: WSGI, ASGI, and http.server when it is run.
import http.server
import posixpath
import sys
import urllib.parse


def application(environ, start_response):
    length = int(environ.get("CONTENT_LENGTH") or 0)
    environ["wsgi.input"].read(length)
    lines = [f"{name}={value}\n" for name, value in environ.items() if isinstance(value, str)]
    lines.append("ROUTE=" + (environ.get("PATH_INFO") or environ.get("SCRIPT_NAME", "")) + "\n")
    start_response("200 OK", [("Content-Type", "text/plain")])
    return ["".join(lines).encode("utf-8", "surrogateescape")]


def listed(headers, route):
    lines = [f"HTTP_{name}={value}\n" for name, value in headers]
    return "".join(lines + ["ROUTE=" + route + "\n"]).encode("latin-1", "replace")


async def asgi(scope, receive, send):
    if scope["type"] != "http":
        return
    headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]]
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": listed(headers, scope["path"])})


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self):
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.close_connection = "Transfer-Encoding" in self.headers  # else the body would be the next request
        path = urllib.parse.unquote(self.path.split("?")[0].split("#")[0])
        body = listed(self.headers.items(), posixpath.normpath(path))
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = answer


if __name__ == "__main__":
    http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
