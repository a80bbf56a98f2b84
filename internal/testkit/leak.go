// Goroutines that tests leave behind.

package testkit

import (
	"fmt"
	"os"

	"go.uber.org/goleak"
)

var known = []goleak.Option{
	// It ends up to five seconds after its lock was released.
	goleak.IgnoreAnyFunction("github.com/caddyserver/certmagic.keepLockfileFresh"),
	// Caddy keeps its admin API when it stops, and its log writer never ends a goroutine.
	goleak.IgnoreAnyFunction("github.com/caddyserver/caddy/v2.replaceLocalAdminServer.func2"),
	goleak.IgnoreAnyFunction("github.com/DeRuina/timberjack.(*Logger).millRun"),
}

// leakRounds is the number of looks at the goroutines, about a second each: connections that Caddy
// has just closed linger.
const leakRounds = 5

// RunTests runs the tests of a package and ends the process: with the code that run returns, or
// with 1 when a goroutine is left.
func RunTests(run func() int) {
	code := run()
	if code != 0 {
		os.Exit(code)
	}
	var err error
	for range leakRounds {
		if err = goleak.Find(known...); err == nil {
			os.Exit(0)
		}
	}
	fmt.Fprintln(os.Stderr, "the tests passed and left goroutines behind:", err)
	os.Exit(1)
}
