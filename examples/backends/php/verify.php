<?php
// 不相信请求头，自己校验 JWT。公钥从 Caddy 取，换密钥不用重启。
// Verifies the JWT instead of trusting headers. The public keys come from Caddy; a new one needs no restart.
//
//   composer require firebase/php-jwt guzzlehttp/guzzle symfony/cache   # 还要 apcu 扩展 / and the extension apcu
//   AUDIENCE=wx0123456789abcdef JWKS_URL=http://localhost:8080/auth/.well-known/jwks.json \
//     php -d apc.enable_cli=1 -S 127.0.0.1:3000 verify.php
require __DIR__ . '/vendor/autoload.php';

use Firebase\JWT\{CachedKeySet, JWT};

// PHP 每个请求都从头来，公钥要另外缓存。 / Each request starts anew in PHP, so the keys need a cache.
$keys = new CachedKeySet(
    getenv('JWKS_URL'),
    new GuzzleHttp\Client(['timeout' => 3]),
    new GuzzleHttp\Psr7\HttpFactory(),
    new Symfony\Component\Cache\Adapter\ApcuAdapter('wechat_auth'),
    300, // 秒 / seconds
    true, // 不认识的 kid，一分钟至多问 10 次 / asks for unknown kids at most 10 times a minute
);
JWT::$leeway = 30; // 秒，两台机器的时钟总有差别 / seconds: clocks differ

header('Content-Type: application/json');
try {
    $token = preg_replace('/^Bearer /i', '', $_SERVER['HTTP_AUTHORIZATION'] ?? '');
    $user = JWT::decode($token, $keys); // 算法以公钥的 alg 为准 / the algorithm is the key's
    $audience = explode(',', getenv('AUDIENCE')); // 几个小程序就写几个 AppID / one for each mini program
    // 下面几项这个库不查。 / What this library does not check.
    if (!isset($user->exp, $user->openid, $user->iss, $user->aud) || $user->iss !== 'wechat_auth' || !array_intersect((array) $user->aud, $audience)) {
        throw new UnexpectedValueException('not for us');
    }
    echo json_encode(['openid' => $user->openid, 'appid' => $user->appid, 'phone' => $user->phone ?? '']);
} catch (Throwable $e) {
    $away = $e instanceof Psr\Http\Client\ClientExceptionInterface; // 取不到公钥 / no keys
    http_response_code($away ? 503 : 401);
    echo $away ? '{"error":"keys_unavailable"}' : '{"error":"token_invalid"}';
}
