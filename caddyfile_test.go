// What the Caddyfile adapts to.

package wechatauth_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig"
	_ "github.com/caddyserver/caddy/v2/modules/standard"
)

var update = flag.Bool("update", false, "rewrite the expected halves of testdata/adapt")

const adaptSeparator = "----------\n"

// Each file is a Caddyfile, a line of dashes, and the JSON it adapts to or the error it gives.
// Threats: T91.
func TestAdapt(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/adapt/*.caddyfiletest")
	if err != nil || len(files) < 40 {
		t.Fatalf("got %d files (%v), want at least 40", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".caddyfiletest"), func(t *testing.T) {
			t.Parallel()
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			input, expected, _ := strings.Cut(string(data), adaptSeparator)
			got := adapt(input)
			if *update {
				if err := os.WriteFile(file, []byte(input+adaptSeparator+got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if got != expected {
				t.Errorf("got:\n%s\nwant:\n%s", got, expected)
			}
			isError := !strings.HasPrefix(got, "{")
			if isError != strings.HasPrefix(filepath.Base(file), "bad_") {
				t.Errorf("files named bad_ and no others end in an error; got:\n%s", got)
			}
			if isError && !strings.Contains(got, "Caddyfile:") {
				t.Errorf("an error names file and line; got: %s", got)
			}
		})
	}
}

func adapt(input string) string {
	adapted, warnings, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(input), map[string]any{"filename": "Caddyfile"})
	if err != nil {
		return err.Error() + "\n"
	}
	var out bytes.Buffer
	_ = json.Indent(&out, adapted, "", "\t")
	for _, w := range warnings {
		out.WriteString("\nwarning: " + w.String())
	}
	return out.String() + "\n"
}
