<?php
// A stand-in for firebase/php-jwt and what it needs, which Debian does not have: like the library, decode checks
// exp, with the leeway, and leaves every other claim to the caller. Of signatures it knows nothing.
namespace Psr\Http\Client {
    interface ClientExceptionInterface extends \Throwable {}
}

namespace GuzzleHttp {
    class Client { public function __construct(array $options) {} }
}

namespace GuzzleHttp\Psr7 {
    class HttpFactory {}
}

namespace Symfony\Component\Cache\Adapter {
    class ApcuAdapter { public function __construct(string $namespace) {} }
}

namespace Firebase\JWT {
    class Away extends \RuntimeException implements \Psr\Http\Client\ClientExceptionInterface {}

    class CachedKeySet implements \ArrayAccess
    {
        public function __construct(
            string $uri, \GuzzleHttp\Client $client, \GuzzleHttp\Psr7\HttpFactory $factory,
            \Symfony\Component\Cache\Adapter\ApcuAdapter $cache, ?int $expiresAfter = null, bool $rateLimit = false,
        ) {}
        public function offsetExists(mixed $kid): bool { return true; }
        public function offsetGet(mixed $kid): mixed { return $kid; }
        public function offsetSet(mixed $kid, mixed $key): void { throw new \LogicException(); }
        public function offsetUnset(mixed $kid): void { throw new \LogicException(); }
    }

    class JWT
    {
        public static $leeway = 0;

        public static function decode(string $token, CachedKeySet $keys): \stdClass
        {
            if ($token === 'away') throw new Away('no route to the keys');
            $parts = explode('.', $token);
            if (count($parts) !== 3) throw new \UnexpectedValueException('Wrong number of segments');
            $claims = json_decode(base64_decode(strtr($parts[1], '-_', '+/')));
            if (isset($claims->exp) && time() - self::$leeway >= $claims->exp) throw new \UnexpectedValueException('Expired token');
            return $claims;
        }
    }
}
