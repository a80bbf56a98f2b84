"""不相信请求头，自己校验 JWT。公钥从 Caddy 取，换密钥不用重启。
Verifies the JWT instead of trusting headers. The public keys come from Caddy; a new one needs no restart.

    pip install 'PyJWT[crypto]'   # Debian: apt install python3-jwt python3-cryptography
    AUDIENCE=wx0123456789abcdef JWKS_URL=http://localhost:8080/auth/.well-known/jwks.json python3 verify.py
"""
import json
import os
import time
from wsgiref.simple_server import make_server

import jwt


class Keys(jwt.PyJWKClient):
    fetched = -5.0

    def fetch_data(self):  # 不认识的 kid，至多 5 秒问一次 / asks for an unknown kid at most every 5 s
        if time.monotonic() - self.fetched < 5:
            raise jwt.PyJWKClientError("asked a moment ago")
        self.fetched = time.monotonic()
        return super().fetch_data()


keys = Keys(os.environ["JWKS_URL"])
rules = {
    "algorithms": ["ES256"],
    "issuer": "wechat_auth",
    "audience": os.environ["AUDIENCE"].split(","),  # 几个小程序就写几个 AppID / one for each mini program
    "leeway": 30,  # 秒，两台机器的时钟总有差别 / seconds: clocks differ
    "options": {"require": ["exp", "iss", "aud", "openid", "appid"]},
}


def app(environ, start_response):
    token = environ.get("HTTP_AUTHORIZATION", "").removeprefix("Bearer ")
    try:
        claims = jwt.decode(token, keys.get_signing_key_from_jwt(token).key, **rules)
        status, answer = "200 OK", {name: claims.get(name) for name in ("openid", "appid", "phone")}
    except jwt.PyJWTError:
        status, answer = "401 Unauthorized", {"error": "token_invalid"}
    start_response(status, [("Content-Type", "application/json")])
    return [json.dumps(answer).encode()]


make_server("127.0.0.1", int(os.environ.get("PORT", "3000")), app).serve_forever()
