#!/usr/bin/env bash
# Installs what the tests need besides Go, git and bash: Debian packages, with apt-get, as root or through sudo.
set -euo pipefail
# shellcheck source=scripts/lib.sh
source "$(dirname "$0")/lib.sh"

command -v go >/dev/null || die "install Go 1.26 or later from https://go.dev/dl/ and put it on the PATH"
command -v git >/dev/null || die "install git"

missing=()
need() { # need <package> <command...>: the package is missing when the command fails
	if ! "${@:2}" >/dev/null 2>&1; then missing+=("$1"); fi
}
compiles() {
	printf '#include <stdlib.h>\nint main(void) { return 0; }\n' | "$(go env CC)" -x c -o "$tmp/cc" -
}
trusts() {
	[[ -n ${SSL_CERT_FILE:-} || -d ${SSL_CERT_DIR:-/none} || $(uname) != Linux ]] ||
		[[ -s /etc/ssl/certs/ca-certificates.crt || -s /etc/pki/tls/certs/ca-bundle.crt || -s /etc/ssl/cert.pem ]]
}
verifies() { # jwt is also a folder of this checkout, so Python must not look here
	/usr/bin/python3 -I -c 'import jwt.algorithms; assert jwt.algorithms.has_crypto'
}
has_server() {
	command -v "$1" || [[ -x /usr/sbin/$1 ]] # where not everybody's PATH leads
}
has_fpm() { compgen -G '/usr/sbin/php-fpm*'; }

need ca-certificates trusts         # Go modules come over TLS
need gcc command -v "$(go env CC)"  # the race detector is linked by a C compiler
need libc6-dev compiles             # with the C library's headers
need curl command -v curl           # the documentation's commands
need openssl command -v openssl     # keys and signatures that Go did not make
need redis-server command -v redis-server # the Redis store is tested with real servers
need sqlite3 command -v sqlite3     # people look into the session file with it
need e2fsprogs has_server mkfs.ext4  # disks that become read-only
need systemd command -v systemd-analyze # the unit of examples/deploy is checked
need iproute2 has_server ip         # nodes are cut off by network namespaces
need nginx has_server nginx         # what else people put before a backend
need lighttpd has_server lighttpd   # and what runs CGI programs
need libnginx-mod-http-lua test -e /usr/lib/nginx/modules/ngx_http_lua_module.so
need apache2-bin has_server apache2
need php-fpm has_fpm                # servers that read names, paths and long headers in their own ways
need uwsgi-core command -v uwsgi-core
need uwsgi-plugin-python3 test -e /usr/lib/uwsgi/plugins/python3_plugin.so
need gunicorn command -v gunicorn
need uvicorn command -v uvicorn
need libtomcat10-java test -e /usr/share/java/tomcat10-catalina.jar
need libjetty9-java test -e /usr/share/java/jetty9-server.jar
need puma command -v puma           # with Ruby, the largest of them
need starman command -v starman
need nodejs command -v node         # tokens are verified in other languages, too
need python3-jwt verifies           # with the library of each
need python3-cryptography verifies
need php-cli command -v php
need default-jdk-headless command -v javac # large, but most backends in China are in Java
need prometheus command -v promtool # the alerts are checked with it
need chromium command -v chromium   # pages of other origins, as a browser treats them
if [[ -n $(files '*package.json') ]]; then # a large package on Debian, so only where something uses it
	need npm command -v npm
fi

if ((${#missing[@]} == 0)); then
	exit 0
fi
how="install ${missing[*]} (those are Debian's package names) and start again"
command -v apt-get >/dev/null || die "there is no apt-get here: $how"
as_root=()
if [[ $(id -u) != 0 ]]; then
	if ! sudo -n true 2>/dev/null; then die "neither root nor sudo without a password: $how"; fi
	as_root=(sudo -n env "DEBIAN_FRONTEND=$DEBIAN_FRONTEND")
fi
echo "installing with apt-get, because they are missing here: ${missing[*]}"
quiet ${as_root[@]+"${as_root[@]}"} apt-get update -q -o Acquire::Retries=3
quiet ${as_root[@]+"${as_root[@]}"} apt-get install -q -y -o Acquire::Retries=3 --no-install-recommends "${missing[@]}"
