// Pushes that cost much to read.

package attack_test

import (
	"strings"
	"sync"
	"testing"
	"time"
)

// Without any secret somebody sends what is dear to read, on many connections. It must cost little,
// and users come through.
func TestAttackPushesThatAreDearToRead(t *testing.T) {
	t.Parallel()
	m := startMailbox(t)
	if m == nil {
		return
	}
	r, _ := m.request(m.console, m.fake.TextMessage(m.fake.NewUser(rigAppA), "hi"))
	bodies := []string{
		"<xml>" + strings.Repeat("<a>", 300_000), `{"a":[` + strings.Repeat("[],", 300_000), "<xml>" + strings.Repeat("&amp;", 200_000),
		`{"a":"` + strings.Repeat(`\u0041`, 170_000), "<" + strings.Repeat(" ", 1_000_000), `{"a":1` + strings.Repeat(",", 1_000_000),
		strings.Repeat("<![CDATA[", 110_000),
	}
	began := time.Now()
	var wg sync.WaitGroup
	for i := range 28 {
		wg.Go(func() {
			if a := m.post(r, bodies[i%len(bodies)]); a.status != 401 {
				t.Errorf("got %d, want 401", a.status)
			}
		})
	}
	m.login()
	wg.Wait()
	if took := time.Since(began); took > patience {
		t.Errorf("took %v", took)
	}
}
