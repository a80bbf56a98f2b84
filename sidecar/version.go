// The version of the module in this program, and the commit it was built from.

package sidecar

import (
	"regexp"
	"runtime/debug"
	"time"
)

const modulePath = "github.com/caddy-wechat/wechatauth"

// Set by the release with -ldflags -X: of a module that is a dependency, the build information has
// a commit only where the version is a pseudo-version.
var commit, date string

// Build tells one build of the module from another.
type Build struct {
	// Version is that of the module, such as v0.1.0, or a pseudo-version. It is devel where nothing
	// sure is known: the version that stands before a folder in `--with module@version=folder` and in
	// a replace directive is only what somebody typed.
	Version string `json:"version"`
	// Commit is the commit's hash, 12 digits of it where only a pseudo-version has it.
	Commit string `json:"commit,omitempty"`
	// Date is the time of the commit.
	Date time.Time `json:"date,omitzero"`
	// Modified is true if the checkout had changes that were not committed.
	Modified bool `json:"modified,omitempty"`
}

// CurrentBuild returns the build of the program that runs.
func CurrentBuild() Build {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		info = new(debug.BuildInfo)
	}
	return buildOf(info, commit, date)
}

const develVersion = "devel"

// pseudoVersion finds the time and the commit in a version that the go command made from one, or
// scripts/version.sh.
var pseudoVersion = regexp.MustCompile(`[-.](\d{14})-([0-9a-f]{12})(\.dirty|\+dirty)?$`)

// buildOf reads the build information; commit and date go first.
func buildOf(info *debug.BuildInfo, commit, date string) Build {
	b := Build{Version: develVersion}
	if info.Main.Path == modulePath {
		b.readMain(info)
	}
	for _, dep := range info.Deps {
		if dep.Path == modulePath {
			b.readDependency(dep)
		}
	}
	if commit != "" {
		b.Commit = commit
		b.Date, _ = time.Parse(time.RFC3339, date)
	}
	return b
}

// readMain reads a build of this repository's own programs, whose checkout the go command stamps.
func (b *Build) readMain(info *debug.BuildInfo) {
	b.setVersion(info.Main.Version)
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			b.Commit = s.Value
		case "vcs.time":
			b.Date, _ = time.Parse(time.RFC3339, s.Value)
		case "vcs.modified":
			b.Modified = s.Value == "true"
		}
	}
}

// readDependency reads a build by xcaddy, or of somebody's own main package. Its vcs settings are
// those of another repository.
func (b *Build) readDependency(dep *debug.Module) {
	b.setVersion(dep.Version)
	if fork := dep.Replace; fork != nil {
		b.Version = develVersion // a folder
		if !isDevel(fork.Version) {
			*b = Build{}
			b.setVersion(fork.Version)
			b.Version += " of " + fork.Path
		}
	}
}

func (b *Build) setVersion(version string) {
	if isDevel(version) {
		return
	}
	b.Version = version
	if m := pseudoVersion.FindStringSubmatch(version); m != nil {
		b.Date, _ = time.Parse("20060102150405", m[1])
		b.Commit, b.Modified = m[2], m[3] != ""
	}
}

func isDevel(version string) bool { return version == "" || version == "(devel)" }
