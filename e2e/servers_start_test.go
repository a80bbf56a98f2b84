//go:build unix

// How each of the servers is started.

package e2e_test

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func portOf(address string) string {
	_, port, _ := net.SplitHostPort(address)
	return port
}

// findOne returns the only file that fits, whatever version is in its name.
func findOne(t *testing.T, pattern string) string {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		t.Fatalf("there is no %s here: bash scripts/needs.sh (%v)", pattern, err)
	}
	return files[0]
}

func (y *yard) startPHP() {
	y.t.Helper()
	y.php = y.address()
	config := y.write("fpm.conf", `[global]
error_log = %[1]s/fpm.log
daemonize = no
[www]
user = root
group = root
listen = %[2]s
pm = static
pm.max_children = 2
`, y.dir, y.php)
	y.run(y.php, nil, findOne(y.t, "/usr/sbin/php-fpm*"), "-R", "-F", "-y", config)
	y.add("Caddy, php_fastcgi", "_", "x.php", "root * "+y.path("www")+"\nphp_fastcgi "+y.php)
}

// startUWSGI runs a WSGI program that uWSGI offers in each of its protocols.
func (y *yard) startUWSGI() {
	y.t.Helper()
	http, uwsgi, scgi, fastcgi := y.address(), y.address(), y.address(), y.address()
	y.copy("dump.py", "dump.py")
	y.run(http, nil, findProgram(y.t, "uwsgi-core"), "--plugin", "python3", "--http-socket", http, "--socket", uwsgi,
		"--scgi-socket", scgi, "--fastcgi-socket", fastcgi, "--chdir", y.dir, "--module", "dump", "--master", "--no-orphans", "--die-on-term", "--processes", "2", "--disable-logging", "--buffer-size", "32768")
	y.add("uWSGI, http", "_", "x", "reverse_proxy "+http)
	y.add("uWSGI, fastcgi", "_", "x", "reverse_proxy "+fastcgi+" {\ntransport fastcgi\n}")
	y.uwsgi, y.scgi = uwsgi, scgi
}

func (y *yard) startPython() {
	y.t.Helper()
	gunicorn, uvicorn, plain := y.address(), y.address(), y.address()
	y.run(gunicorn, []string{"PYTHONPATH=" + y.dir}, findProgram(y.t, "gunicorn"), "--bind", gunicorn, "dump:application")
	y.run(uvicorn, []string{"PYTHONPATH=" + y.dir}, findProgram(y.t, "uvicorn"), "--port", portOf(uvicorn), "--log-level", "error", "dump:asgi")
	y.run(plain, nil, "/usr/bin/python3", y.path("dump.py"), portOf(plain))
	y.add("gunicorn", "_", "x", "reverse_proxy "+gunicorn)
	y.add("uvicorn", "", "x", "reverse_proxy "+uvicorn)
	y.add("Python, http.server", "", "x", "reverse_proxy "+plain)
}

func (y *yard) startJava() {
	y.t.Helper()
	var jars []string
	for _, pattern := range []string{"tomcat10-*.jar", "jetty9-*.jar", "*servlet-api*.jar"} {
		findOne(y.t, "/usr/share/java/"+pattern)
		files, _ := filepath.Glob("/usr/share/java/" + pattern)
		jars = append(jars, files...)
	}
	tomcat, jetty := y.address(), y.address()
	y.run(jetty, nil, findProgram(y.t, "java"), "-Xmx64m", "-XX:TieredStopAtLevel=1", "-cp", strings.Join(jars, ":"),
		filepath.Join(serversDir, "Dump.java"), portOf(tomcat), portOf(jetty), y.t.TempDir())
	y.add("Tomcat", "", "x", "reverse_proxy "+tomcat)
	y.add("Jetty", "", "x", "reverse_proxy "+jetty)
}

func (y *yard) startOthers() {
	y.t.Helper()
	node, puma, starman := y.address(), y.address(), y.address()
	y.run(node, nil, findProgram(y.t, "node"), filepath.Join(serversDir, "dump.mjs"), portOf(node))
	y.run(puma, nil, findProgram(y.t, "puma"), "--bind", "tcp://"+puma, "--log-requests", filepath.Join(serversDir, "dump.ru"))
	y.run(starman, nil, findProgram(y.t, "starman"), "--listen", starman, "--workers", "2", filepath.Join(serversDir, "dump.psgi"))
	y.add("Node", "", "x", "reverse_proxy "+node)
	y.add("Puma", "_", "x", "reverse_proxy "+puma)
	y.add("Starman", "_", "x", "reverse_proxy "+starman)
}

// startNginx passes odd names on, to a server in each of its protocols.
func (y *yard) startNginx() {
	y.t.Helper()
	config := `load_module /usr/lib/nginx/modules/ndk_http_module.so;
load_module /usr/lib/nginx/modules/ngx_http_lua_module.so;
daemon off;
master_process off;
pid %[1]s/nginx.pid;
events {}
http {
access_log off;
client_body_temp_path %[1]s/body;
proxy_temp_path %[1]s/proxy;
fastcgi_temp_path %[1]s/fastcgi;
uwsgi_temp_path %[1]s/uwsgi;
scgi_temp_path %[1]s/scgi;
ignore_invalid_headers off;
underscores_in_headers on;
`
	y.copy("dump.lua", "dump.lua")
	address := ""
	for _, server := range []struct{ name, folds, file, location string }{
		{"nginx, PHP-FPM", "_", "x.php", "root " + y.path("www") + ";\nfastcgi_split_path_info ^(.+?\\.php)(/.*)$;\nfastcgi_param PATH_INFO $fastcgi_path_info;\n" +
			"fastcgi_param SCRIPT_FILENAME $document_root$fastcgi_script_name;\nfastcgi_param SCRIPT_NAME $fastcgi_script_name;\n" +
			"fastcgi_param REQUEST_METHOD $request_method;\nfastcgi_param REQUEST_URI $request_uri;\nfastcgi_param QUERY_STRING $query_string;\n" +
			"fastcgi_param CONTENT_LENGTH $content_length;\nfastcgi_pass " + y.php + ";"},
		{"nginx, uWSGI", "_", "x", "include /etc/nginx/uwsgi_params;\nuwsgi_pass " + y.uwsgi + ";"},
		{"nginx, SCGI", "_", "x", "include /etc/nginx/scgi_params;\nscgi_param PATH_INFO $document_uri;\nscgi_pass " + y.scgi + ";"},
		{"nginx, Lua", "_", "x", "default_type text/plain;\ncontent_by_lua_file " + y.path("dump.lua") + ";"},
	} {
		address = y.address()
		config += "server {\nlisten " + address + ";\nlocation / {\n" + server.location + "\n}\n}\n"
		y.add(server.name, server.folds, server.file, "reverse_proxy "+address)
	}
	file := y.write("nginx.conf", config+"}\n", y.dir)
	y.run(address, nil, findServer(y.t, "nginx"), "-p", y.dir, "-c", file, "-e", y.path("nginx.log"))
}

func (y *yard) startLighttpd() {
	y.t.Helper()
	address := y.address()
	file := y.write("lighttpd.conf", `
server.modules = ("mod_cgi", "mod_fastcgi", "mod_scgi")
server.document-root = "%[1]s/www"
server.errorlog = "%[1]s/lighttpd.log"
server.bind = "127.0.0.1"
server.port = %[2]s
cgi.assign = (".cgi" => "")
fastcgi.server = (".php" => (("host" => "127.0.0.1", "port" => %[3]s)))
scgi.server = (".scgi" => (("host" => "127.0.0.1", "port" => %[4]s, "check-local" => "disable")))
`, y.dir, portOf(address), portOf(y.php), portOf(y.scgi))
	y.run(address, nil, findServer(y.t, "lighttpd"), "-D", "-f", file)
	for _, file := range []string{"x.cgi", "x.php", "x.scgi"} {
		y.add("lighttpd, "+file[2:], "~", file, "reverse_proxy "+address)
	}
}

// startApache runs programs in all of its ways, and makes variables of headers by name, as people
// do.
func (y *yard) startApache() {
	y.t.Helper()
	address := y.address()
	user := ""
	if os.Getuid() == 0 {
		user = "User www-data\nGroup www-data\n"
	}
	config := y.write("apache.conf", `ServerRoot %[1]s
DefaultRuntimeDir %[1]s
PidFile %[1]s/apache.pid
ErrorLog %[1]s/apache.log
Listen %[2]s
ServerName 127.0.0.1
StartServers 2
MinSpareServers 1
MaxSpareServers 4
LoadModule mpm_prefork_module /usr/lib/apache2/modules/mod_mpm_prefork.so
LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so
LoadModule mime_module /usr/lib/apache2/modules/mod_mime.so
LoadModule cgi_module /usr/lib/apache2/modules/mod_cgi.so
LoadModule proxy_module /usr/lib/apache2/modules/mod_proxy.so
LoadModule proxy_fcgi_module /usr/lib/apache2/modules/mod_proxy_fcgi.so
LoadModule proxy_uwsgi_module /usr/lib/apache2/modules/mod_proxy_uwsgi.so
LoadModule rewrite_module /usr/lib/apache2/modules/mod_rewrite.so
LoadModule setenvif_module /usr/lib/apache2/modules/mod_setenvif.so
TypesConfig /dev/null
%[3]sDocumentRoot %[1]s/www
SetEnvIf X-WX-OPENID (.+) WX_SET=$1
RewriteEngine on
RewriteCond %%{HTTP:X-WX-OPENID} (.+)
RewriteRule . - [E=WX_REWRITE:%%1]
<Directory %[1]s/www>
Options +ExecCGI
AddHandler cgi-script .cgi
<FilesMatch \.php$>
SetHandler proxy:fcgi://%[4]s
</FilesMatch>
</Directory>
ProxyPassMatch ^/(public|optional|api)/x.uwsgi uwsgi://%[5]s/
`, y.dir, address, user, y.php, y.uwsgi)
	y.run(address, nil, findServer(y.t, "apache2"), "-D", "FOREGROUND", "-f", config)
	for _, file := range []string{"x.cgi", "x.php", "x.uwsgi"} {
		y.add("Apache, "+file[2:], "", file, "reverse_proxy "+address)
	}
}
