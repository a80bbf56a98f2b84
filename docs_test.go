// Files of the documents.

package wechatauth_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var (
	readmes    = []string{"README.md", "README.zh-CN.md"}
	operations = inBoth("docs/operations")
	storeDocs  = inBoth("docs/stores")
	tours      = inBoth("docs/curl")
	keyDocs    = inBoth("docs/keys")
	apiDocs    = inBoth("docs/api")
	options    = inBoth("docs/options")
	allDocs    = slices.Concat([]string{"xcaddy.md", "xcaddy.zh-CN.md", "SECURITY.md", "SECURITY.zh-CN.md", "CONTRIBUTING.md", "CHANGELOG.md", "bench/README.md", "SKILL.md", "llms.txt"},
		readmes, found("docs/*.md"), found("client/*.md"), found("examples/*/*.md"))
)

// inBoth returns a document in English and in Chinese.
func inBoth(name string) []string { return []string{name + ".md", name + ".zh-CN.md"} }

// languagePairs returns the documents that there are in English and in Chinese.
func languagePairs() (pairs [][]string) {
	for _, chinese := range allDocs {
		if english, ok := strings.CutSuffix(chinese, ".zh-CN.md"); ok {
			pairs = append(pairs, []string{english + ".md", chinese})
		}
	}
	return pairs
}

func found(pattern string) []string {
	files, err := filepath.Glob(pattern)
	if err != nil {
		panic(err) // of a pattern that is wrong
	}
	return files
}

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
