//go:build unix

// The operator's commands in the hands of scripts that make mistakes.

package e2e_test

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddy-wechat/wechatauth/session/redisstore/redistest"
)

// A script has an unset variable, or an openid that came from a stranger. What it asks for then is
// something else, for someone else or for all: nothing of it may happen, and the script must see it.
func TestCarelessScriptsChangeNothing(t *testing.T) {
	w := newWorld(t)
	n := w.start()
	alice := w.fake.NewUser(appID)
	login := n.login(alice)
	for _, args := range [][]string{
		{"users", "--phone", ""},
		{"users", "--openid", ""},
		{"logout", alice.OpenID, "--sid", ""},
		{"ban", alice.OpenID, "--until", ""},
		{"erase", alice.OpenID, "--app", ""},
		{"erase", ""},
		{"backup", ""},
		{"convert", "sqlite:" + n.path("x.db"), "sqlite:" + n.path("y.db"), "--to-seal-key", ""},
	} {
		n.refused("is empty", args...)
	}
	for _, name := range []string{"..", ".", "../status", "x/../" + alice.OpenID, alice.OpenID + "/ban", "x%2f.." + alice.OpenID, "a\nb", "\x1b[31m"} {
		for _, command := range []string{"show", "logout", "ban", "erase", "export"} {
			n.refused("invalid_request", command, name)
		}
		n.refused("invalid_request", "show", "status", "--app", name)
	}
	n.refused("unknown command", "bann", alice.OpenID)
	if got := n.get("/", login.access()); got.status != 200 {
		t.Errorf("the user's token: got %s, want 200", got)
	}
}

// With --json a script reads JSON and nothing else, whatever happens.
func TestJSONIsAlwaysJSON(t *testing.T) {
	w := newWorld(t)
	n := w.start()
	alice := w.fake.NewUser(appID)
	n.login(alice)
	wrong := writeFile(t, n.dir, "wrong.jsonl", "no user\n")
	for _, row := range []struct {
		code string // of an error, "" for none
		args []string
	}{
		{"", []string{"status"}},
		{"", []string{"ban", alice.OpenID}},
		{"", []string{"unban", alice.OpenID}},
		{"", []string{"backup", n.path("copy.db")}},
		{"", []string{"import", wrong}}, // the lines are in the answer
		{"", []string{"doctor"}},
		{"invalid_request", []string{"backup", n.path("copy.db")}},
		{"not_found", []string{"show", "nobody"}},
		{"not_found", []string{"users", "--store", "nope"}},
		{"failed", []string{"import", n.path("none")}},
		{"failed", []string{"convert", "sqlite:" + n.path("none.db"), "sqlite:" + n.path("new.db")}},
	} {
		out, _ := n.command(append([]string{"wechat-auth", "--json", "--address", n.admin}, row.args...)...).Output()
		var answer map[string]any
		if err := json.Unmarshal(out, &answer); err != nil || row.code != "" && answer["error"] != row.code || row.code == "" && answer["error"] != nil {
			t.Errorf("%v: got %q, %v, want JSON with the error %q", row.args, out, err, row.code)
		}
	}
	n.stop()
	if out, _ := n.command("wechat-auth", "status", "--json", "--address", n.admin).Output(); !strings.Contains(string(out), `"error": "failed"`) {
		t.Errorf("without a Caddy: got %q, want an error in JSON", out)
	}
}

// A file that an editor saved, and one that is no list of users at all.
func TestImportOfOddFiles(t *testing.T) {
	w := newWorld(t)
	n := w.start()
	n.wantOperation("2 users imported", "import", writeFile(t, n.dir, "bom.jsonl", "\ufeff{\"openid\":\"o1\"}\r\n\r\n{\"openid\":\"o2\"}"))
	n.refused("line 2:", "import", writeFile(t, n.dir, "long.jsonl", `{"openid":"o3"}`+"\n"+strings.Repeat("x", 20<<20)+"\n"+`{"openid":"o4"}`))
	n.wantOperation("4, with 0 sessions", "status")
	n.refused("is it JSON lines?", "import", writeFile(t, n.dir, "wrong.csv", strings.Repeat("a,b\n", 20_000)))
	n.wantOperation("4, with 0 sessions", "status")
}

// The seal key was left out, or the prefix is wrong. The store that is there stays as it is, and
// nobody takes nothing for all.
func TestConvertBetweenTheWrongStores(t *testing.T) {
	w := newWorld(t)
	redis := redistest.Start(t)
	n := w.start("store redis " + redis.URL + sealed)
	alice := w.fake.NewUser(appID)
	login := n.login(alice)
	other := w.start()
	other.login(alice)
	other.stop()
	database := "sqlite:" + filepath.Join(other.data(), "sessions.db")
	other.refusedOffline("seal_key", "convert", database, redis.URL)
	if got := n.refresh(login.refresh()); got.status != 200 {
		t.Errorf("refresh afterwards: got %s, want 200", got)
	}
	other.refusedOffline("nothing to copy", "convert", redis.URL, "sqlite:"+n.path("new.db"), "--from-prefix", "none:")
}
