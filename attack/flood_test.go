// Floods, and what is left of them.

package attack_test

import (
	"io"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
)

// flood calls a function so many times, eight at once.
func flood(times int, call func(i int)) {
	var wg sync.WaitGroup
	for worker := range 8 {
		wg.Go(func() {
			for i := worker; i < times; i += 8 {
				call(i)
			}
		})
	}
	wg.Wait()
}

// heap returns what is in use on the heap, which is Caddy's as well.
func heap() int64 {
	runtime.GC()
	runtime.GC() // the first moves what pools hold, the second frees it
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// A cache of refusals would be a way to fill the memory: every text is another token.
// Threats: T63.
func TestFloodOfGarbageLeavesNothing(t *testing.T) { // not parallel: it measures the process
	r := caddyRig(t)
	head, rest, _ := strings.Cut(r.login(t, "small").token, ".")
	_, signature, _ := strings.Cut(rest, ".")
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 8}}
	defer client.CloseIdleConnections()
	ask := func(i int) {
		token := head + "." + base64url(strings.Repeat("x", 3000)+itoa(i)) + "." + signature
		req := streamRequest(t, http.MethodGet, "http://"+r.addr["small"]+"/api", token, nil)
		resp, err := client.Do(req)
		if err != nil {
			t.Error(err)
			return
		}
		defer resp.Body.Close()
		if _, err := io.Copy(io.Discard, resp.Body); err != nil || resp.StatusCode != 401 {
			t.Errorf("got %d %v, want 401", resp.StatusCode, err)
		}
	}
	flood(200, ask) // what a first request makes is there from here on
	before := heap()
	flood(4000, ask) // 16 MB of tokens
	if grown := heap() - before; grown > 4<<20 {
		t.Errorf("the heap grew by %d KiB, want it flat", grown>>10)
	}
}

// Whoever logs in often enough pushes others out of a memory that is bounded. What is pushed out
// must be no revocation.
// Threats: T64.
func TestFloodOfLoginsUndoesNoLogout(t *testing.T) { // not parallel: it takes both processors
	r := caddyRig(t)
	ended, alive := r.login(t, "small"), r.login(t, "small")
	if a := r.post(t, "small", "/auth/logout", ended.token, ""); a.status != 204 {
		t.Fatalf("logout: got %d %s, want 204", a.status, a.body)
	}
	flood(1500, func(int) {
		u := r.login(t, "small")
		if got := r.exchange(t, "small", raw("GET /api", bearer(u.token))); got.status != 200 {
			t.Errorf("got %d %s, want 200", got.status, got.body)
		}
	})
	wantRefused(t, r.exchange(t, "small", raw("GET /api", bearer(ended.token))), 401, "session_revoked")
	wantForwarded(t, r.exchange(t, "small", raw("GET /api", bearer(alive.token))))
}
