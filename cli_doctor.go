// The operator's command that finds mistakes.

package wechatauth

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
)

// diagnose examines the Caddy that runs, or a configuration file, with the environment and the
// network of the command.
func diagnose(a admin) error {
	answer, err := a.findings()
	if err != nil {
		return err
	}
	if err := printAnswer(a, answer, findingLines); err != nil {
		return err
	}
	var report doctorReport
	if err := json.Unmarshal(answer, &report); err != nil {
		return err
	}
	mistakes := 0
	for _, f := range report.Findings {
		if f.Level == levelError {
			mistakes++
		}
	}
	if mistakes > 0 {
		return reported{fmt.Errorf("errors found: %d", mistakes)}
	}
	return nil
}

func (a admin) findings() ([]byte, error) {
	file := a.String("config")
	if file == "" || a.String("address") != "" {
		return a.call(http.MethodGet, "doctor", nil, nil)
	}
	config, _, _, err := caddycmd.LoadConfig(file, a.String("adapter"))
	if err != nil {
		return nil, err
	}
	report, err := newDoctor(nil).examine(context.Background(), config)
	if err != nil {
		return nil, err
	}
	return json.Marshal(report)
}

func findingLines(report doctorReport) []string {
	lines := []string{"LEVEL\tCHECK\tWHAT"}
	for _, f := range report.Findings {
		lines = append(lines, strings.Join([]string{f.Level, f.Name, f.Text}, "\t"))
	}
	return lines
}
