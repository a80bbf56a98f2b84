// Files of the documents.

package wechatauth_test

import (
	"os"
	"slices"
	"testing"
)

var (
	readmes     = []string{"README.md", "README.zh-CN.md"}
	operations  = []string{"docs/operations.md", "docs/operations.zh-CN.md"}
	performance = []string{"docs/performance.md", "docs/performance.zh-CN.md"} // its commands take minutes
	web         = []string{"docs/web.md", "docs/web.zh-CN.md"}                 // its script runs in e2e
	hookDocs    = []string{"docs/hook.md", "docs/hook.zh-CN.md"}
	paths       = []string{"docs/paths.md", "docs/paths.zh-CN.md"}
	proxies     = []string{"docs/nginx.md", "docs/nginx.zh-CN.md"}       // its configurations run in e2e
	deploy      = []string{"docs/deploy.md", "docs/deploy.zh-CN.md"}     // its files are tested in e2e and tests/deploy
	backends    = []string{"docs/backends.md", "docs/backends.zh-CN.md"} // its programs run in e2e
	pushDocs    = []string{"docs/push.md", "docs/push.zh-CN.md"}
	migration   = []string{"docs/migration.md", "docs/migration.zh-CN.md"} // its configurations run in e2e
	review      = []string{"docs/review.md", "docs/review.zh-CN.md"}
	gateway     = []string{"docs/gateway.md", "docs/gateway.zh-CN.md"} // its configuration runs in e2e
	bilingual   = [][]string{readmes, operations, performance, web, backends, pushDocs, migration, review, gateway}
	allDocs     = slices.Concat([]string{"xcaddy.md", "SECURITY.md", "CONTRIBUTING.md", "CHANGELOG.md", "bench/README.md"},
		readmes, operations, performance, web, hookDocs, paths, proxies, deploy, backends, pushDocs, migration, review, gateway)
)

func readText(t *testing.T, file string) string {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func writeText(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
