// Disks that are full, or can't be written any more, in the middle of a request.

package e2e_test

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// onDisk puts the node's data on a file system of its own: that of an image, or one in memory.
func (n *node) onDisk(image string) {
	n.t.Helper()
	dir := n.path("data")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		n.t.Fatal(err)
	}
	err := syscall.Mount("none", dir, "tmpfs", 0, "size=8m")
	if errors.Is(err, syscall.EPERM) {
		n.t.Skip("only root may mount a small file system, and not in every container")
	}
	if err != nil {
		n.t.Fatal(err)
	}
	if image != "" {
		n.program("umount", dir)
		n.program("mount", "-o", "loop", image, dir)
	}
	n.t.Cleanup(func() {
		n.kill()
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			n.t.Error(err)
		}
	})
}

// program runs one of the system's, which must succeed.
func (n *node) program(name string, args ...string) {
	n.t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		n.t.Fatalf("%s: %v: %s (bash scripts/needs.sh installs it)", name, err, bytes.TrimSpace(out))
	}
}

// fill leaves a few bytes of a disk free, and returns how to free the rest again.
func (n *node) fill(free int) (empty func()) {
	n.t.Helper()
	name := n.path("data/filler")
	f, err := os.Create(name)
	if err != nil {
		n.t.Fatal(err)
	}
	defer f.Close()
	if _, err := io.Copy(f, zeros{}); err == nil || !strings.Contains(err.Error(), "no space") {
		n.t.Fatalf("got %v, want a full disk", err)
	}
	if size, err := f.Seek(0, io.SeekEnd); err == nil && free > 0 {
		_ = f.Truncate(max(0, size-int64(free)))
	}
	return func() { _ = os.Remove(name) }
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// fullDisk fills the disk, apart from a little that is sometimes enough for a part of the request.
func fullDisk(random *rand.Rand) harm {
	empty := func() {}
	return harm{"the disk full", func(v *victim) {
		free := 0
		if random.IntN(2) == 0 {
			free = random.IntN(64 << 10)
		}
		empty = v.fill(free)
	}, func(v *victim) {
		v.t.Helper()
		empty()
		v.healed()
	}, false}
}

// The disk is full before a request or becomes full in its middle, and has room again later: what was
// told is true, and all goes on without a restart.
func TestDiskFullAtEachStep(t *testing.T) {
	t.Parallel()
	random := seeded(t)
	v := newVictim(t, random, nil)
	v.onDisk("")
	v.start()
	t.Logf("full %d times", v.harmAll([]harm{fullDisk(random)}))
	v.wantConsistent()
}

// On a full disk who is logged in goes on, and what only reads works.
func TestReadsGoOnWhileTheDiskIsFull(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	n := w.newNode("session {\nstale 1s\n}")
	n.onDisk("")
	n.start()
	alice, login := n.loginWithPhone()
	gone := n.newUser()
	want(t, "logout", n.logout(gone.access()), 204, "")
	empty := n.fill(0)
	eventually(t, "nothing can be written any more", func() bool { return n.newLogin() == 503 }) // the log of writes had room
	n.writesFail(alice, login)
	if got := n.phoneOf(login.access()); got != "13800138000" {
		t.Errorf("got phone %q, want it", got)
	}
	want(t, "verify", n.get("/auth/verify", login.access()), 204, "")
	want(t, "what was revoked", n.get("/", gone.access()), 401, "session_revoked")
	if a := n.get("/auth/healthz", ""); a.status != 200 || a.text("status") != "degraded" {
		t.Errorf("healthz: got %s, want degraded", a)
	}
	n.refused("", "backup", n.path("data/copy.db"))
	if left, _ := filepath.Glob(n.path("data/copy.db*")); len(left) > 0 {
		t.Errorf("a backup without room leaves %v", left)
	}
	n.kill() // and a start on a full disk serves whom it can
	n.launch()
	if n.servesOrEnds() {
		if !strings.Contains(n.log(), "the disk is full: make room") {
			t.Error("it ended, and the log does not say that the disk is full")
		}
		empty()
		n.start()
	} else {
		want(t, "a token", n.get("/", login.access()), 200, "")
		want(t, "what was revoked", n.get("/", gone.access()), 401, "session_revoked")
		empty()
	}
	eventually(t, "logins work again", func() bool { return n.newLogin() == 200 })
	want(t, "the session from before", n.refresh(login.refresh()), 200, "")
}

// The kernel makes a disk with errors read-only while Caddy runs. What was acknowledged is there after
// the repair; nothing else was.
func TestDiskBecomesReadOnly(t *testing.T) {
	t.Parallel()
	random := seeded(t)
	v := newVictim(t, random, nil)
	image := v.path("disk")
	if err := os.WriteFile(image, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(image, 16<<20); err != nil {
		t.Fatal(err)
	}
	v.program("mkfs.ext4", "-q", image)
	v.onDisk(image)
	v.start()
	t.Logf("read-only %d times", v.harmAll([]harm{{"the disk read-only", func(v *victim) {
		v.program("mount", "-o", "remount,abort", v.path("data"))
	}, func(v *victim) {
		v.t.Helper()
		want(v.t, "a public path", v.get("/health", ""), 200, "")
		v.kill()
		v.program("umount", v.path("data"))
		_ = exec.Command("e2fsck", "-p", image).Run() // it fails where it has repaired something
		v.program("mount", "-o", "loop", image, v.path("data"))
		v.start()
	}, false}}))
	v.wantConsistent()
}

// A disk or a file that is read-only from the start is a clear refusal.
func TestReadOnlyAtTheStart(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	n := w.newNode()
	n.onDisk("")
	n.start()
	login := n.newUser()
	file := filepath.Join(n.data(), "sessions.db")
	for name, change := range map[string][2][]string{
		"disk": {{"mount", "-o", "remount,ro", n.path("data")}, {"mount", "-o", "remount,rw", n.path("data")}},
		"file": {{"chattr", "+i", file}, {"chattr", "-i", file}},
	} {
		n.stop()
		n.program(change[0][0], change[0][1:]...)
		before := len(n.log())
		n.launch()
		<-n.ended
		if said := n.log()[before:]; !strings.Contains(said, "Caddy's user must be allowed to") || !strings.Contains(said, "sessions.db") {
			t.Errorf("a read-only %s: got %q, want what to do", name, said)
		}
		n.program(change[1][0], change[1][1:]...)
		n.start()
	}
	want(t, "the session from before", n.refresh(login.refresh()), 200, "")
}
