//go:build unix

// The Caddyfiles and commands of examples/deploy for Compose and Kubernetes, run without containers.

package e2e_test

import (
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/caddy-wechat/wechatauth/internal/testkit"
)

// backend starts the backend of compose.yaml and returns its address.
func backend(t *testing.T) string {
	t.Helper()
	found := regexp.MustCompile(`(?m)^    command: \["caddy", (.*)\]$`).FindStringSubmatch(shipped(t, "docker/compose.yaml"))
	if found == nil {
		t.Fatal("compose.yaml has no backend")
	}
	address := "127.0.0.1:" + testkit.FreePort(t)
	args := strings.Split(strings.Trim(replaced(t, "the backend", found[1], ":3000", address), `"`), `", "`)
	runProgram(t, address, []string{"HOME=/proc/none", "XDG_DATA_HOME=/proc/none", "XDG_CONFIG_HOME=/proc/none"}, program, args...)
	return address
}

// redisScript is the command that starts Redis in a shipped file.
func redisScript(t *testing.T, file string) string {
	t.Helper()
	found := regexp.MustCompile(`(?m)^( +)exec redis-server - <<EOF\n(?:.*\n)*?\s+EOF\n`).FindStringSubmatch(shipped(t, file))
	if found == nil {
		t.Fatalf("%s starts no Redis", file)
	}
	return strings.ReplaceAll(strings.ReplaceAll("\n"+found[0], "\n"+found[1], "\n"), "$$", "$")
}

// containers are the processes of an image, run without one.
func (w *world) container(file, site string, pairs ...string) *deployed {
	d := &deployed{node: w.newNode()}
	live := testkit.FreePort(w.t)
	pairs = append(pairs, "/run/secrets", d.path("secrets"), ":8081", ":"+live)
	d.write("Caddyfile", shipped(w.t, file, pairs...))
	d.write("secrets/wechat_secret", secret+"\n")
	d.run = []string{program, "run", "--config", d.path("Caddyfile")}
	// The root file system is read-only: nothing outside the volume can be made.
	d.env = []string{"XDG_DATA_HOME=" + d.path("data"), "XDG_CONFIG_HOME=/proc/none", "HOME=/proc/none", "WECHAT_APPID=" + appID, "DOMAIN=" + site}
	d.admin = "127.0.0.1:" + live // where /live is
	return d
}

func (d *deployed) alive() bool {
	return newClient(d.t, "http://"+d.admin).send("HEAD", "/live", "").status == 200
}

// The Caddyfiles of the Compose files, with the Redis they start.
func TestComposeRuns(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		w := &world{t, w.fake, w.api}
		port := testkit.FreePort(t)
		d := w.container("docker/Caddyfile", "http://127.0.0.1:"+port, "backend:3000", backend(t),
			"/wechat_secret}", "/wechat_secret}\n\t\tapi "+w.api, "{\n\tpersist_config", "{\n\tadmin off\n\tpersist_config")
		d.port, d.client = port, newClient(t, "http://127.0.0.1:"+port)
		d.launch()
		login := d.newUser()
		if !d.alive() {
			t.Error("the health check fails")
		}
		d.stop()
		d.launch()
		want(t, "refresh after a restart", d.refresh(login.refresh()), 200, "")
	})
	t.Run("redis", func(t *testing.T) {
		t.Parallel()
		w := &world{t, w.fake, w.api}
		redis := w.redis("docker/compose.redis.yaml", "/run/secrets/redis_password")
		port := testkit.FreePort(t)
		d := w.container("docker/Caddyfile.redis", "http://127.0.0.1:"+port, "backend:3000", backend(t), "redis:6379", redis,
			"/wechat_secret}", "/wechat_secret}\n\t\tapi "+w.api, "{\n\tpersist_config", "{\n\tadmin off\n\tpersist_config")
		d.port, d.client = port, newClient(t, "http://127.0.0.1:"+port)
		d.write("secrets/redis_password", redisPassword+"\n")
		d.write("secrets/seal_key", sealKey+"\n")
		d.launch()
		login := d.newUser()
		d.stop()
		d.launch()
		want(t, "refresh after a restart", d.refresh(login.refresh()), 200, "")
	})
}

const (
	redisPassword = "correct horse/battery@staple"
	sealKey       = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
)

// redis starts Redis by the command of a shipped file and returns its address.
func (w *world) redis(file, password string) string {
	t := w.t
	t.Helper()
	dir := t.TempDir()
	rewrite(t, filepath.Join(dir, "password"), redisPassword+"\n")
	port := testkit.FreePort(t)
	script := replaced(t, file, redisScript(t, file), password, filepath.Join(dir, "password"), "dir /data", "dir "+dir+"\nbind 127.0.0.1\nport "+port)
	runProgram(t, "127.0.0.1:"+port, nil, "sh", "-c", script)
	return "127.0.0.1:" + port
}

// Two pods, and a third that takes the place of the first: while a pod ends it serves those whom the
// ingress still sends to it, and the others go on with its sessions.
func TestKubernetesRuns(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	redis := w.redis("kubernetes/redis.yaml", "/run/secrets/redis/redis_password")
	echo := backend(t)
	pod := func(redis string) *deployed {
		port := testkit.FreePort(t)
		d := w.container("kubernetes/Caddyfile", "", "127.0.0.1:3000", echo, "redis:6379", redis, "/run/secrets/wechat/", "/run/secrets/",
			"/wechat_secret}", "/wechat_secret}\n\t\tapi "+w.api, ":8080", ":"+port)
		d.port, d.client = port, newClient(t, "http://127.0.0.1:"+port)
		d.write("secrets/redis_password", redisPassword+"\n")
		d.write("secrets/seal_key", sealKey+"\n")
		return d
	}
	first, second, third := pod(redis), pod(redis), pod(redis)
	together(2, func(i int) { []*deployed{first, second}[i].launch() })
	login := first.newUser()
	want(t, "refresh at the other pod", second.refresh(login.refresh()), 200, "")
	third.launch()
	_ = first.cmd.Process.Signal(syscall.SIGTERM)
	during(t, 2*time.Second, "a pod that ends still serves", func() bool {
		return first.get("/", login.access()).status == 200 && first.alive()
	})
	next := third.newUser()
	want(t, "logout at the third pod", third.logout(next.access()), 204, "")
	eventually(t, "it is out at the second", func() bool { return second.revoked(next.access()) })
	<-first.ended

	// Without Redis a pod lives, and is not ready.
	alone := pod("127.0.0.1:" + testkit.FreePort(t))
	alone.begin()
	eventually(t, "it lives", alone.alive)
	if a := alone.get("/auth/healthz", ""); a.status != 503 {
		t.Errorf("the readiness probe without Redis: got %s, want 503", a)
	}
}
