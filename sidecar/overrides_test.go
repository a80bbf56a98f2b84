// Headers by which a request could pass for another, and how many of them there may be.

package sidecar

import (
	"fmt"
	"net/http"
	"testing"
)

// Rules for paths hold only as long as nobody behind takes the path from a header; without such
// rules the headers are the backend's own matter.
func TestPathsAreNotOverriddenWhereRulesNameThem(t *testing.T) {
	t.Parallel()
	rule := []*Paths{{Paths: []string{"/x"}}}
	for name, cfg := range map[string]Config{
		"no rule": {}, "public": {Public: rule}, "optional": {Optional: rule}, "phone_required": {PhoneRequired: rule},
	} {
		cfg.Headers = "cloudrun"
		id, err := newSiteIdentity(cfg)
		if err != nil {
			t.Fatal(err)
		}
		for _, header := range []string{"SCRIPT_NAME", "Script-Name", "script.name", "Path_Info", "X-Script-Name", "X-Original-Url", "X~Rewrite~URL"} {
			if got, want := id.reserved(header), name != "no rule"; got != want {
				t.Errorf("%s: %s: got removed %t, want %t", name, header, got, want)
			}
		}
		for _, header := range []string{"X-Forwarded-Prefix", "X-Original-Uri", "Script", "X-Script-Names"} {
			if id.reserved(header) {
				t.Errorf("%s: %s is removed", name, header)
			}
		}
	}
}

func TestLinesAreCountedWhateverTheirNames(t *testing.T) {
	t.Parallel()
	same, different := http.Header{"Accept": nil}, http.Header{"Accept": nil}
	for i := range maxHeaderLines {
		same.Add("A", "")
		different.Add(fmt.Sprint("A", i), "")
	}
	delete(different, "Accept")
	for what, header := range map[string]http.Header{"same": same, "different": different} {
		if isCrowded(header) {
			t.Errorf("%s: %d lines: got too many", what, maxHeaderLines)
		}
		header.Add("A", "")
		if !isCrowded(header) {
			t.Errorf("%s: %d lines: got few enough", what, maxHeaderLines+1)
		}
	}
}
