package main

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/caddy-wechat/wechatauth/bench/internal/lab"
)

//go:embed wrk.lua
var wrkScript string

// wrkResult is what one run of wrk got.
type wrkResult struct {
	Requests int64
	Micros   int64
	P50, P99 int64 // microseconds
	Errors   int64 // no answer, or one above 399
}

// runWrk sends requests with the tokens of a file to an address.
func (b *bench) runWrk(ctx context.Context, wrk, addr, tokens string, d time.Duration) (r wrkResult, err error) {
	script, err := b.lab.Write("wrk.lua", wrkScript)
	if err != nil {
		return r, err
	}
	args := []string{
		"--threads", "1", "--connections", fmt.Sprint(b.connections), "--timeout", "10s",
		"--duration", fmt.Sprintf("%ds", int(math.Ceil(d.Seconds()))), "--script", script, "http://" + addr, "--",
		tokens, requestPath,
	}
	for _, h := range lab.RequestHeaders {
		args = append(args, h[0], h[1])
	}
	cmd := exec.CommandContext(ctx, wrk, args...)
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		return r, err
	}
	if d%time.Second != 0 { // wrk knows only whole seconds, but ends as usual when it is interrupted
		timer := time.AfterFunc(d, func() { _ = cmd.Process.Signal(os.Interrupt) })
		defer timer.Stop()
	}
	if err := cmd.Wait(); err != nil {
		return r, fmt.Errorf("wrk: %w\n%s", err, out.String())
	}
	_, line, ok := strings.Cut(out.String(), "RESULT ")
	if !ok {
		return r, fmt.Errorf("wrk gave no result:\n%s", out.String())
	}
	if err := json.Unmarshal([]byte(line), &r); err != nil {
		return r, fmt.Errorf("wrk's result: %w\n%s", err, out.String())
	}
	if r.Errors > 0 || r.Requests == 0 {
		return r, fmt.Errorf("wrk: %d of %d requests failed", r.Errors, r.Requests)
	}
	return r, nil
}
