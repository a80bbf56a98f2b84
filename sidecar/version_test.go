// What a build says of itself, in each way of building.

package sidecar

import (
	"runtime/debug"
	"testing"
	"time"
)

// No build says a number that nobody vouches for: neither of a folder, nor of another repository.
func TestBuildVersion(t *testing.T) {
	t.Parallel()
	const (
		own    = modulePath
		hash   = "8a9e89f01234567890abcdef8a9e89f012345678"
		pseudo = "v0.0.0-20261129185942-8a9e89f01234"
	)
	at := time.Date(2026, 11, 29, 18, 59, 42, 0, time.UTC)
	stamps := []debug.BuildSetting{
		{Key: "vcs", Value: "git"},
		{Key: "vcs.revision", Value: hash},
		{Key: "vcs.time", Value: "2026-11-29T18:59:42Z"},
	}
	changed := append(stamps[:3:3], debug.BuildSetting{Key: "vcs.modified", Value: "true"})
	dep := func(version string, replace *debug.Module) []*debug.Module {
		return []*debug.Module{{Path: "github.com/caddyserver/caddy/v2", Version: "v2.11.9"}, {Path: own, Version: version, Replace: replace}}
	}
	folder := &debug.Module{Path: ".", Version: "(devel)"}
	for _, test := range []struct {
		name string
		info debug.BuildInfo
		want Build
	}{
		{"no build information", debug.BuildInfo{}, Build{Version: "devel"}},
		{"go run in a checkout", debug.BuildInfo{Main: debug.Module{Path: own, Version: "(devel)"}}, Build{Version: "devel"}},
		{
			"go build at a tag",
			debug.BuildInfo{Main: debug.Module{Path: own, Version: "v0.1.0"}, Settings: stamps},
			Build{Version: "v0.1.0", Commit: hash, Date: at},
		},
		{
			"go build after a tag",
			debug.BuildInfo{Main: debug.Module{Path: own, Version: pseudo}, Settings: stamps},
			Build{Version: pseudo, Commit: hash, Date: at},
		},
		{
			"go build with changes",
			debug.BuildInfo{Main: debug.Module{Path: own, Version: pseudo + "+dirty"}, Settings: changed},
			Build{Version: pseudo + "+dirty", Commit: hash, Date: at, Modified: true},
		},
		{
			"go build with a stamp but no version",
			debug.BuildInfo{Main: debug.Module{Path: own, Version: "(devel)"}, Settings: stamps},
			Build{Version: "devel", Commit: hash, Date: at},
		},
		{"xcaddy by version", debug.BuildInfo{Deps: dep("v0.1.0", nil)}, Build{Version: "v0.1.0"}},
		{"xcaddy by commit", debug.BuildInfo{Deps: dep(pseudo, nil)}, Build{Version: pseudo, Commit: hash[:12], Date: at}},
		{
			"xcaddy by commit after a tag",
			debug.BuildInfo{Deps: dep("v0.1.1-0.20261129185942-8a9e89f01234", nil)},
			Build{Version: "v0.1.1-0.20261129185942-8a9e89f01234", Commit: hash[:12], Date: at},
		},
		{"xcaddy with a folder", debug.BuildInfo{Deps: dep("v0.0.0", folder)}, Build{Version: "devel"}},
		{"xcaddy with a folder and a made-up version", debug.BuildInfo{Deps: dep("v9.9.9", folder)}, Build{Version: "devel"}},
		{
			"xcaddy with a folder and scripts/version.sh",
			debug.BuildInfo{Deps: dep(pseudo+".dirty", folder)},
			Build{Version: "devel", Commit: hash[:12], Date: at, Modified: true},
		},
		{
			"xcaddy with a fork",
			debug.BuildInfo{Deps: dep("v0.1.0", &debug.Module{Path: "example.com/fork", Version: "v0.2.0"})},
			Build{Version: "v0.2.0 of example.com/fork"},
		},
		{"in a repository of somebody's", debug.BuildInfo{
			Main: debug.Module{Path: "example.com/shop", Version: "v7.0.0"}, Deps: dep("v0.1.0", nil), Settings: stamps,
		}, Build{Version: "v0.1.0"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if got := buildOf(&test.info, "", ""); got != test.want {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
		})
	}
	info := debug.BuildInfo{Deps: dep("v0.1.0", nil)}
	want := Build{Version: "v0.1.0", Commit: hash, Date: at}
	if got := buildOf(&info, hash, "2026-11-29T18:59:42Z"); got != want {
		t.Errorf("a release: got %+v, want %+v", got, want)
	}
}
