// What the process takes, over time.

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// sample is one look at the process.
type sample struct {
	at         time.Duration
	resident   float64 // MB
	store      float64 // MB on disk
	goroutines float64
	files      float64
	sessions   float64
}

// bounds are how far the largest value of the last third may be above that of the third before.
var bounds = []struct {
	name  string
	of    func(sample) float64
	slack float64
}{
	{"resident memory (MB)", func(s sample) float64 { return s.resident }, 16},
	{"store (MB)", func(s sample) float64 { return s.store }, 8},
	{"goroutines", func(s sample) float64 { return s.goroutines }, 300}, // calls that hang
	{"file descriptors", func(s sample) float64 { return s.files }, 300},
}

func (s *site) watch(ctx context.Context, began time.Time, every time.Duration) (all []sample) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return all
		case <-tick.C:
		}
		if one, err := s.sample(ctx, began); err == nil {
			all = append(all, one)
		} else if ctx.Err() == nil {
			fmt.Fprintln(os.Stderr, "sample:", err)
		}
	}
}

func (s *site) sample(ctx context.Context, began time.Time) (one sample, err error) {
	one.at = time.Since(began)
	proc := fmt.Sprintf("/proc/%d", s.caddy.Process.Pid)
	status, err := os.ReadFile(proc + "/status")
	if err != nil {
		return one, err
	}
	for line := range strings.Lines(string(status)) {
		if fields := strings.Fields(line); len(fields) > 1 && fields[0] == "VmRSS:" {
			kilobytes, err := strconv.ParseFloat(fields[1], 64)
			if err != nil {
				return one, err
			}
			one.resident = kilobytes / 1024
		}
	}
	files, err := os.ReadDir(proc + "/fd")
	if err != nil {
		return one, err
	}
	one.files = float64(len(files))
	stored, _ := filepath.Glob(filepath.Join(s.dir, "sessions.db*"))
	for _, name := range stored {
		if info, err := os.Stat(name); err == nil {
			one.store += float64(info.Size()) / (1 << 20)
		}
	}
	if one.goroutines, err = s.goroutines(ctx); err != nil {
		return one, err
	}
	one.sessions, err = s.sessions(ctx)
	return one, err
}

func (s *site) get(ctx context.Context, url string) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	return http.DefaultClient.Do(r)
}

func (s *site) goroutines(ctx context.Context) (float64, error) {
	response, err := s.get(ctx, "http://"+s.admin+"/metrics")
	if err != nil {
		return 0, err
	}
	defer func() { _ = response.Body.Close() }()
	lines := bufio.NewScanner(response.Body)
	for lines.Scan() {
		if value, ok := strings.CutPrefix(lines.Text(), "go_goroutines "); ok {
			return strconv.ParseFloat(value, 64)
		}
	}
	return 0, errors.Join(errors.New("no go_goroutines"), lines.Err())
}

func (s *site) sessions(ctx context.Context) (float64, error) {
	response, err := s.get(ctx, "http://"+s.admin+"/wechat_auth/status")
	if err != nil {
		return 0, err
	}
	defer func() { _ = response.Body.Close() }()
	var status struct {
		Sessions float64 `json:"sessions"`
	}
	err = json.NewDecoder(response.Body).Decode(&status)
	return status.Sessions, err
}

// verdict prints what was taken, and returns what grew.
func verdict(samples []sample) error {
	if len(samples) < 9 {
		return fmt.Errorf("got %d samples, want 9 or more", len(samples))
	}
	var grew []error
	running, last := samples[:len(samples)-1], samples[len(samples)-1]
	third := len(running) / 3
	for _, b := range bounds {
		most := func(part []sample) float64 {
			values := make([]float64, 0, len(part))
			for _, one := range part {
				values = append(values, b.of(one))
			}
			return slices.Max(values)
		}
		first, second, end := most(running[:third]), most(running[third:2*third]), most(running[2*third:])
		fmt.Printf("%-22s at most %8.1f, %8.1f, %8.1f in each third of the time, %8.1f at the end\n", b.name, first, second, end, b.of(last))
		if end > second+b.slack {
			grew = append(grew, fmt.Errorf("%s grew from %.1f to %.1f", b.name, second, end))
		}
	}
	fmt.Printf("%-22s %8.0f at the end\n", "sessions", last.sessions)
	return errors.Join(grew...)
}
