package session

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestHubTellsWhoListens(t *testing.T) {
	t.Parallel()
	var h hub
	var one, two int
	leaveOne := h.listen(func(revoked []Revocation) { one += len(revoked) })
	leaveTwo := h.listen(func(revoked []Revocation) { two += len(revoked) })
	h.tell(make([]Revocation, 1))
	leaveOne()
	h.tell(make([]Revocation, 10))
	leaveTwo()
	h.tell(make([]Revocation, 100))
	if one != 1 || two != 11 {
		t.Errorf("got %d and %d revocations, want 1 and 11", one, two)
	}
}

func TestHubBeatsUntilItIsClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var h hub
		beats, ended := 0, make(chan error)
		go func() { ended <- h.beat(t.Context(), func([]Revocation) { beats++ }) }()
		time.Sleep(10*time.Second + time.Millisecond)
		synctest.Wait()
		if beats < 10 {
			t.Errorf("got %d beats in ten seconds, want 10 or more", beats)
		}
		h.close()
		h.close()
		if err := <-ended; !errors.Is(err, ErrClosed) {
			t.Errorf("got %v, want %v", err, ErrClosed)
		}
		if err := h.beat(t.Context(), nil); !errors.Is(err, ErrClosed) {
			t.Errorf("got %v of a closed hub, want %v", err, ErrClosed)
		}
	})
}

func TestHubBeatsUntilItsContextEnds(t *testing.T) {
	t.Parallel()
	var h hub
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := h.beat(ctx, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
}
