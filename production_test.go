// What a production build contains.

package wechatauth_test

import (
	"strings"
	"testing"
)

// A build as in xcaddy.md has neither the fake WeChat, which logs in anyone as anyone, nor the
// playground that breaks it.
func TestProductionBuildsHaveNoSandbox(t *testing.T) {
	t.Parallel()
	out, err := command(t, "", "go", "list", "-deps", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	const module = "github.com/caddy-wechat/wechatauth"
	found := false
	for name := range strings.Lines(string(out)) {
		name = strings.TrimSpace(name)
		found = found || name == module+"/sidecar"
		for _, folder := range []string{"/sandbox", "/client", "/wechat/wechattest", "/cmd"} {
			if strings.HasPrefix(name, module+folder) {
				t.Errorf("got %s in a production build", name)
			}
		}
	}
	if !found {
		t.Errorf("got %s, want the sidecar among it", out)
	}
}
