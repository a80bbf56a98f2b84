// The operator's command that tells which build this is.

package wechatauth

import (
	"encoding/json"
	"runtime"

	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"

	"github.com/caddy-wechat/wechatauth/sidecar"
)

// programBuild is the module's build with that of the program around it.
type programBuild struct {
	sidecar.Build

	Caddy string `json:"caddy"`
	Go    string `json:"go"`
}

func versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Shows the version and commit of wechat_auth in this program, without asking the Caddy that runs",
		Args:  cobra.NoArgs,
		RunE: runs(func(fl caddycmd.Flags) error {
			build := programBuild{Build: sidecar.CurrentBuild(), Go: runtime.Version() + " " + runtime.GOOS + "/" + runtime.GOARCH}
			build.Caddy, _ = caddy.Version()
			answer, err := json.Marshal(build)
			if err != nil {
				return err
			}
			return printAnswer(admin{Flags: fl}, answer, buildLines)
		}),
	}
}

func buildLines(b programBuild) []string {
	lines := []string{"wechat_auth:\t" + b.Version}
	if b.Commit != "" {
		changed := ""
		if b.Modified {
			changed = ", with changes that are not committed"
		}
		lines = append(lines, "commit:\t"+b.Commit+changed)
	}
	if !b.Date.IsZero() {
		lines = append(lines, "date:\t"+b.Date.UTC().Format("2006-01-02 15:04:05 UTC"))
	}
	return append(lines, "caddy:\t"+b.Caddy, "go:\t"+b.Go)
}
