//go:build unix

// The files of examples/deploy, used as docs/deploy.md says, as far as a machine without systemd,
// Docker and Kubernetes can.

package e2e_test

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/caddy-wechat/wechatauth/internal/testkit"
)

// shipped returns a file of examples/deploy in which pairs of texts have been replaced. Each of
// them has to be there.
func shipped(t *testing.T, file string, pairs ...string) string {
	t.Helper()
	return replaced(t, file, readText(t, filepath.Join("../examples/deploy", file)), pairs...)
}

func readText(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func replaced(t *testing.T, name, text string, pairs ...string) string {
	t.Helper()
	for i := 0; i+1 < len(pairs); i += 2 {
		if !strings.Contains(text, pairs[i]) {
			t.Fatalf("%s: got no %q", name, pairs[i])
		}
		text = strings.ReplaceAll(text, pairs[i], pairs[i+1])
	}
	return text
}

// deployed is a node that runs a shipped Caddyfile.
type deployed struct {
	*node
	env []string
	run []string // the command
}

func (d *deployed) command(args ...string) *exec.Cmd {
	cmd := d.node.command()
	cmd.Args = args
	cmd.Env = append(os.Environ(), d.env...)
	return cmd
}

// launch runs the command and waits until the site answers.
func (d *deployed) launch() {
	d.t.Helper()
	d.begin()
	eventually(d.t, "it serves", func() bool {
		return d.get("/auth/.well-known/jwks.json", "").status == 200
	})
}

func (d *deployed) begin() {
	d.t.Helper()
	log, err := os.OpenFile(d.path("log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		d.t.Fatal(err)
	}
	defer log.Close()
	d.cmd = d.command(d.run...)
	d.cmd.Stdout, d.cmd.Stderr = log, log
	if d.ended, err = testkit.Start(d.cmd); err != nil {
		d.t.Fatal(err)
	}
}

// write puts a file below the node's folder.
func (d *deployed) write(name, text string) {
	d.t.Helper()
	file := d.path(name)
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		d.t.Fatal(err)
	}
	rewrite(d.t, file, text)
}

// settings returns the values of a unit's key.
func settings(unit, key string) (values []string) {
	for _, found := range regexp.MustCompile(`(?m)^`+key+`=(.*)$`).FindAllStringSubmatch(unit, -1) {
		values = append(values, found[1])
	}
	return values
}

func one(t *testing.T, unit, key string) string {
	t.Helper()
	values := settings(unit, key)
	if len(values) != 1 {
		t.Fatalf("the unit has %s=%q", key, values)
	}
	return values[0]
}

// documented returns the bash block of deploy.md that begins with a line, and the rest of it.
func documented(t *testing.T, first string) string {
	t.Helper()
	_, rest, ok := strings.Cut(readText(t, "../docs/deploy.md"), "```bash\n"+first)
	if !ok {
		t.Fatalf("deploy.md has no block that begins with %q", first)
	}
	block, _, _ := strings.Cut(rest, "```")
	return block
}

// install puts the files where deploy.md has them, with the AppSecret on standard input.
func (d *deployed) install() (unit string) {
	d.t.Helper()
	script := replaced(d.t, "deploy.md", documented(d.t, "sudo useradd --system --home-dir /var/lib/caddy-wechat --shell /usr/sbin/nologin caddy-wechat\n"),
		"sudo ", "", " caddy /usr/local/bin/caddy-wechat", " "+program+" "+d.path("caddy"),
		"/etc/systemd/system/", d.path("units"), "/etc/caddy-wechat", d.path("etc"))
	cmd := exec.Command("bash", "-euo", "pipefail", "-c", "mkdir "+d.path("units")+"\n"+script)
	cmd.Dir, cmd.Stdin = "..", strings.NewReader(secret+"\n")
	if out, err := cmd.CombinedOutput(); err != nil {
		d.t.Fatalf("%s: %v\n%s", script, err, out)
	}
	for file, mode := range map[string]os.FileMode{"etc/secrets/wechat_secret": 0o600, "etc/secrets": 0o700 | os.ModeDir} {
		if info, err := os.Stat(d.path(file)); err != nil || info.Mode() != mode {
			d.t.Errorf("%s: got %v and %v, want mode %s", file, info, err, mode)
		}
	}
	return d.path("units/caddy-wechat.service")
}

// newUnit prepares what systemd does for the unit: the environment, the credential, the folders.
func (w *world) newUnit() (d *deployed, unit string) {
	t := w.t
	t.Helper()
	d = &deployed{node: w.newNode()}
	unit = replaced(t, "the unit", readText(t, d.install()),
		"/usr/local/bin/caddy-wechat", d.path("caddy"), "/etc/caddy-wechat", d.path("etc"), "/var/lib/caddy-wechat", d.path("state"))
	d.write("etc/Caddyfile", replaced(t, "the Caddyfile", readText(t, d.path("etc/Caddyfile")),
		"/run/caddy-wechat", d.path("run"), "/run/credentials/caddy-wechat.service", d.path("credentials"),
		"/var/lib/caddy-wechat", d.path("state"), "127.0.0.1:3000", backend(t),
		"store sqlite", "api "+w.api+"\n\t\tstore sqlite"))
	d.write("etc/env", replaced(t, "env", readText(t, d.path("etc/env")), "api.example.com", d.url))
	for _, dir := range []string{"run", "state"} {
		if err := os.Mkdir(d.path(dir), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	d.credential(unit)
	for line := range strings.Lines(readText(t, one(t, unit, "EnvironmentFile"))) {
		if name, _, ok := strings.Cut(line, "="); ok && !strings.HasPrefix(name, "#") {
			d.env = append(d.env, strings.TrimSpace(line))
		}
	}
	d.env = append(d.env, strings.Fields(one(t, unit, "Environment"))...)
	d.run = strings.Fields(one(t, unit, "ExecStart"))
	return d, unit
}

// credential copies the AppSecret, as systemd does when a service starts.
func (d *deployed) credential(unit string) {
	d.t.Helper()
	name, file, _ := strings.Cut(one(d.t, unit, "LoadCredential"), ":")
	d.write("credentials/"+name, readText(d.t, file))
}

// The unit is one that systemd understands, and leaves the service little.
func TestSystemdUnitIsSound(t *testing.T) {
	t.Parallel()
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Fatal("there is no systemd-analyze here: bash scripts/needs.sh")
	}
	file := filepath.Join(t.TempDir(), "caddy-wechat.service")
	rewrite(t, file, shipped(t, "systemd/caddy-wechat.service", "/usr/local/bin/caddy-wechat", program))
	if out, err := exec.Command(analyze, "verify", file).CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("systemd-analyze verify: %v\n%s", err, out)
	}
	// Exposure from 0 to 100: a unit without any protection has 96, this one 19.
	if out, err := exec.Command(analyze, "security", "--offline=true", "--threshold=25", file).CombinedOutput(); err != nil {
		t.Errorf("systemd-analyze security: %v\n%s", err, out)
	}
}

// The command lines of the unit start Caddy, tell systemd when it serves, and renew the AppSecret.
func TestSystemdUnitRuns(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d, unit := w.newUnit()
	notify, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: d.path("notify"), Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer notify.Close()
	d.env = append(d.env, "NOTIFY_SOCKET="+d.path("notify"))
	d.write("etc/secrets/wechat_secret", strings.Repeat("0", 32)+"\n")
	d.credential(unit)
	d.launch()
	d.patient()
	if err := notify.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	for told := ""; !strings.Contains(told, "READY=1"); {
		message := make([]byte, 4096)
		n, err := notify.Read(message)
		if told = string(message[:n]); err != nil {
			t.Fatalf("systemd is not told READY=1: %v", err)
		}
	}

	logIn := func() answer {
		return d.post("/auth/login", "", "code", w.fake.LoginCode(w.fake.NewUser(appID)), "nonce", "n")
	}
	want(t, "login with a wrong AppSecret", logIn(), 502, "wechat_misconfigured")

	// A new AppSecret. systemd makes the copy when the service starts; where it is made again for a
	// reload, a plain reload of the same Caddyfile still does not read it.
	d.write("etc/secrets/wechat_secret", secret+"\n")
	d.credential(unit)
	reload := strings.Fields(one(t, unit, "ExecReload"))
	plain := strings.Fields(replaced(t, "ExecReload", one(t, unit, "ExecReload"), " --force", ""))
	if out, err := d.command(plain...).CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", plain, err, out)
	}
	want(t, "login after a plain reload", logIn(), 502, "wechat_misconfigured")
	if out, err := d.command(reload...).CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", reload, err, out)
	}
	login := logIn()
	want(t, "login with the new AppSecret", login, 200, "")
	if got := string(d.get("/", login.access()).body); got != "openid="+login.text("user", "openid")+" phone=" {
		t.Errorf("the backend: got %q", got)
	}
	want(t, "an order without a phone", d.get("/orders/1", login.access()), 403, "phone_required")
	d.stop()
	if strings.Contains(d.log(), secret) {
		t.Error("the AppSecret is in the log")
	}
	d.launch()
	want(t, "refresh after a restart", d.refresh(login.refresh()), 200, "")
}

// A copy made by backup.sh while users come and go is a state of its own: put back as deploy.md
// says, those in it are still logged in.
func TestBackupAndRestore(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("sqlite3"); err != nil {
		t.Fatal("there is no sqlite3 here: bash scripts/needs.sh")
	}
	w := newWorld(t)
	d, _ := w.newUnit()
	d.launch()
	kept := d.newUser()
	folder := d.path("backups")
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	old := filepath.Join(folder, "sessions-20200101T000000Z.db")
	rewrite(t, old, "old")
	if err := os.Chtimes(old, time.Now().Add(-360*time.Hour), time.Now().Add(-360*time.Hour)); err != nil {
		t.Fatal(err)
	}

	crontab := regexp.MustCompile(`(?m)^[\d*]+( \S+){4} caddy-wechat (\S+) (.*)$`).FindStringSubmatch(shipped(t, "systemd/backup.cron"))
	if crontab == nil || filepath.Base(crontab[2]) != "backup.sh" {
		t.Fatalf("backup.cron runs %q", crontab)
	}
	args := replaced(t, "backup.cron", crontab[3], "/var/lib/caddy-wechat", d.path("state"), "/var/backups/caddy-wechat", folder)
	load := d.traffic(4)
	load.goesOn(t)
	out, err := exec.Command("../examples/deploy/systemd/backup.sh", strings.Fields(args)...).CombinedOutput()
	load.goesOn(t)
	load.allWell(t)
	if err != nil || len(out) > 0 {
		t.Fatalf("backup.sh: %v\n%s", err, out)
	}
	copies, err := filepath.Glob(filepath.Join(folder, "*"))
	if err != nil || len(copies) != 1 || copies[0] == old {
		t.Fatalf("got %v, want one new copy and no old one", copies)
	}
	if info, err := os.Stat(copies[0]); err != nil || info.Mode() != 0o600 {
		t.Errorf("the copy: got %v and %v, want mode 0600", info.Mode(), err)
	}
	if out, err := exec.Command("../examples/deploy/systemd/backup.sh", d.path("none"), folder).CombinedOutput(); err == nil || len(out) == 0 {
		t.Errorf("backup.sh of no file: got %v %q, want an error", err, out)
	}

	want(t, "logout after the backup", d.logout(kept.access()), 204, "")
	d.stop()
	script := replaced(t, "deploy.md", documented(t, "sudo systemctl stop caddy-wechat\n"), "sudo systemctl start caddy-wechat\n", "", "sudo ", "", "-o caddy-wechat -g caddy-wechat ", "",
		"/var/lib/caddy-wechat", d.path("state"), "/var/backups/caddy-wechat/sessions-20261129T031700Z.db", copies[0])
	if out, err := exec.Command("bash", "-euo", "pipefail", "-c", script).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", script, err, out)
	}
	d.launch()
	// As operations.md says of an old state.
	want(t, "refresh of a session that the copy has", d.refresh(kept.refresh()), 200, "")
}

// Both languages have the same commands, and the files they name are there.
func TestDeployCommandsAgree(t *testing.T) {
	t.Parallel()
	fence := regexp.MustCompile("(?s)```bash\n.*?```")
	english := fence.FindAllString(readText(t, "../docs/deploy.md"), -1)
	chinese := fence.FindAllString(readText(t, "../docs/deploy.zh-CN.md"), -1)
	if got, want := strings.Join(chinese, "\n"), strings.Join(english, "\n"); got != want || len(english) == 0 {
		t.Errorf("deploy.zh-CN.md has\n%s\ndeploy.md has\n%s", got, want)
	}
	for _, file := range regexp.MustCompile(`examples/deploy/[\w./-]+`).FindAllString(strings.Join(english, "\n"), -1) {
		if _, err := os.Stat(filepath.Join("..", file)); err != nil {
			t.Error(err)
		}
	}
}

// A server is replaced on one machine, one after the other as systemctl restart does, or with the
// second waiting beside the first. Clients that repeat what got no answer notice nothing.
func TestReplacedOnOneMachine(t *testing.T) {
	t.Parallel()
	for name, beside := range map[string]bool{"one after the other": false, "side by side": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			first := w.start()
			first.patient()
			first.http.Transport = again{again{first.http.Transport}}
			second := w.newNode("store sqlite " + filepath.Join(first.data(), "sessions.db"))
			second.port, second.admin, second.client = first.port, first.admin, first.client
			kept, gone := first.newUser(), first.newUser()
			want(t, "logout", first.logout(gone.access()), 204, "")
			load := first.traffic(4)
			load.goesOn(t)
			if beside {
				second.launch()
				eventually(t, "the second waits", func() bool { return strings.Contains(second.log(), "the session file is in use") })
			}
			first.stop()
			stopped := time.Now()
			if !beside {
				second.launch()
			}
			second.ready()
			t.Logf("%s: it serves %s after the first has ended", name, time.Since(stopped))
			load.goesOn(t)
			load.allWell(t)
			if a := second.get("/", kept.access()); a.status != 200 {
				t.Errorf("a token of the first: got %s", a)
			}
			want(t, "a token that the first revoked", second.get("/", gone.access()), 401, "session_revoked")
			want(t, "refresh", second.refresh(kept.refresh()), 200, "")
		})
	}
}
