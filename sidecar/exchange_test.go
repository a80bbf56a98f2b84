// Faults in shared exchanges.

package sidecar

import (
	"errors"
	"strings"
	"testing"
)

// The cause names the place and quotes nothing that was worked on.
func TestPanicIsLoggedWithoutData(t *testing.T) {
	t.Parallel()
	for _, value := range []any{"13800138000", errors.New("13800138000"), struct{ phone string }{"13800138000"}} {
		if got := panicText(value); strings.Contains(got, "13800138000") || !strings.Contains(got, "panicText") {
			t.Errorf("got %s, want a stack without the value", got)
		}
	}
	defer func() {
		if got := panicText(recover()); !strings.Contains(got, "nil map") {
			t.Errorf("got %s, want the runtime's reason", got)
		}
	}()
	fill(nil)
}

func panicText(p any) string { return panicError(p).Error() }

func fill(m map[string]int) { m["x"] = 1 }
