// A short soak, and a process that grows.

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestSoak(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "soak.svg")
	if err := soak(t.Context(), options{duration: 20 * time.Second, seed: 1, users: 100, rate: 50, picture: file}); err != nil {
		t.Fatal(err)
	}
	drawn, err := os.ReadFile(file)
	if err != nil || !strings.Contains(string(drawn), "file descriptors") {
		t.Errorf("got %v %.200s, want a picture of all values", err, drawn)
	}
}

func TestVerdict(t *testing.T) {
	t.Parallel()
	steady := make([]sample, 30)
	for i := range steady {
		steady[i] = sample{resident: 90, goroutines: 100 + float64(i%7)}
	}
	if err := verdict(steady); err != nil {
		t.Errorf("got %v, want no growth", err)
	}
	growing := append([]sample(nil), steady...)
	for i := range growing {
		growing[i].resident += 3 * float64(i)
	}
	if err := verdict(growing); err == nil || !strings.Contains(err.Error(), "resident") {
		t.Errorf("got %v, want the memory that grew", err)
	}
}
