//go:build linux

// Memory of a process that gets large pictures.

package e2e_test

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

// peak is the most memory that the process has ever had, in MB.
func (n *node) peak() (megabytes int) {
	n.t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", n.cmd.Process.Pid))
	if err != nil {
		n.t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(status), "VmHWM:")
	kilobytes := 0
	if _, err := fmt.Sscan(rest, &kilobytes); err != nil {
		n.t.Fatalf("VmHWM: %v", err)
	}
	return kilobytes >> 10
}

// Whatever a picture claims, and however many come at once, the process stays small: one is
// decoded at a time. Without a bound each of these would take some 100 MB, and the largest 1.8 GB.
// Threats: T93.
func TestPicturesTakeLittleMemory(t *testing.T) {
	w := newWorld(t)
	n := w.newNode("limit profile off").patient()
	sites := []*node{n}
	for range 3 { // further sites of the same process
		site := w.newNode().patient()
		n.more += site.server("limit profile off")
		sites = append(sites, site)
	}
	n.start()
	fits := zeroPNG(t, 3400, 3400, 16) // 92 MB when decoded: near the most that is taken
	small := zeroPNG(t, 100, 100, 16)
	tokens := make([]string, 10)
	for i := range tokens {
		tokens[i] = n.newUser().access()
		want(t, "a small picture", n.upload(tokens[i], small), 200, "")
	}
	begin := n.peak()
	for _, bomb := range []struct {
		name          string
		width, height int
		depth         byte
	}{{"4096 x 4096, 16 bits", 4096, 4096, 16}, {"30000 x 30000", 30000, 30000, 1}, {"a line", 1 << 20, 1, 1}} {
		want(t, bomb.name, n.upload(tokens[0], zeroPNG(t, bomb.width, bomb.height, bomb.depth)), 413, "payload_too_large")
	}
	refused := n.peak() - begin
	want(t, "the largest that is taken", n.upload(tokens[0], fits), 200, "")
	one := n.peak() - begin
	start := time.Now()
	together(len(tokens), func(i int) {
		if a := sites[i%len(sites)].upload(tokens[i], fits); a.status != 200 {
			t.Errorf("one of many: got %s", a)
		}
	})
	many := n.peak() - begin
	t.Logf("from %d MB: refused ones took %d MB, one %d MB, %d at once %d MB and %s", begin, refused, one, len(tokens), many, time.Since(start).Round(time.Millisecond))
	if refused > 32 || one > 150 || many > 200 {
		t.Errorf("refused pictures took %d MB, one %d MB, many %d MB", refused, one, many)
	}
}
