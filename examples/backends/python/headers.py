"""相信 Caddy 给的请求头。只监听 127.0.0.1，别人就没法绕过 Caddy 来伪造。只用标准库。
Trusts the headers that Caddy sets. It listens on 127.0.0.1, so that nobody can send them past Caddy.
Standard library only.

    python3 headers.py
"""
import json
import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        user = {"openid": self.headers.get("X-WX-OPENID"), "appid": self.headers.get("X-WX-APPID"), "phone": self.headers.get("X-WX-PHONE")}
        if user["openid"]:
            self.answer(200, user)
        else:  # public 路径，或匿名 / a public path, or anonymous
            self.answer(401, {"error": "no_user"})

    def answer(self, status, body):
        text = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)


ThreadingHTTPServer(("127.0.0.1", int(os.environ.get("PORT", "3000"))), Handler).serve_forever()
