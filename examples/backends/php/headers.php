<?php
// 相信 Caddy 给的请求头。只监听 127.0.0.1，别人就没法绕过 Caddy 来伪造。
// Trusts the headers that Caddy sets. It listens on 127.0.0.1, so that nobody can send them past Caddy.
//
//   php -S 127.0.0.1:3000 headers.php
//
// 用 PHP-FPM 时也一样，Caddyfile 里写 php_fastcgi 127.0.0.1:9000。
// The same under PHP-FPM, with php_fastcgi 127.0.0.1:9000 in the Caddyfile.

header('Content-Type: application/json');
$openid = $_SERVER['HTTP_X_WX_OPENID'] ?? '';
if ($openid === '') { // public 路径，或匿名 / a public path, or anonymous
    http_response_code(401);
    exit('{"error":"no_user"}');
}
echo json_encode([
    'openid' => $openid,
    'appid' => $_SERVER['HTTP_X_WX_APPID'] ?? '',
    'phone' => $_SERVER['HTTP_X_WX_PHONE'] ?? '',
]);
