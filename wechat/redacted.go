// How values that hold secrets are printed and logged.

package wechat

import (
	"fmt"
	"io"
	"log/slog"
)

// redacted prints and logs as a fixed text. Types that hold secrets embed it.
type redacted struct{}

// String returns a fixed text.
func (redacted) String() string { return "wechat: hidden" }

// GoString returns the same for %#v.
func (r redacted) GoString() string { return r.String() }

// Format prints it for every verb: String is not asked for %d.
func (r redacted) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, r.String()) }

// LogValue returns it for log/slog.
func (r redacted) LogValue() slog.Value { return slog.StringValue(r.String()) }
