// The log of last writes after a crash: cut, damaged, missing, or another file's.

package sqlitestore

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/caddy-wechat/wechatauth/session"
)

// crashed returns the two files of a process that was killed after some transactions, each of which
// writes its number into three records. The first half of them is in the file already.
func crashed(t *testing.T, name string, transactions int) (file, log []byte) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "sessions.db")
	d, err := openDB(path, Options{}, session.NewClock())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeTest(t, d) })
	for i := range transactions {
		err := d.Update(t.Context(), func(tx session.Tx) (err error) {
			for part, size := range []int{10, 1000, 20_000} {
				value := strings.Repeat(fmt.Sprintf("%s %d %d;", name, part, i), size/10)
				err = errors.Join(err, tx.Put([]byte(strconv.Itoa(part)), []byte(value), time.Now().Add(time.Hour)))
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if i == transactions/2 {
			if err := d.emptyLog(); err != nil {
				t.Fatal(err)
			}
		}
	}
	file, err = os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	log, err = os.ReadFile(path + "-wal")
	if err != nil {
		t.Fatal(err)
	}
	return file, log
}

// recovered opens the files and returns the number of the last transaction that is there as a whole.
func recovered(t *testing.T, name string, file, log []byte) (last int, err error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "sessions.db")
	if err := errors.Join(os.WriteFile(path, file, 0o600), os.WriteFile(path+"-wal", log, 0o600)); err != nil {
		t.Fatal(err)
	}
	d, err := openDB(path, Options{}, session.NewClock())
	if err != nil {
		return 0, err
	}
	defer func() { _ = d.Close() }()
	for part := range 3 {
		value, err := get(d, strconv.Itoa(part))
		if err != nil {
			return 0, err
		}
		first, _, _ := strings.Cut(value, ";")
		number, err := strconv.Atoi(strings.TrimPrefix(first, fmt.Sprint(name, " ", part, " ")))
		if err != nil || part > 0 && number != last {
			t.Fatalf("record %d begins with %q, want that of transaction %d", part, first, last)
		}
		last = number
	}
	return last, nil
}

// A log that was cut or damaged loses what comes behind that place, and nothing by half.
func TestADamagedLogLosesOnlyItsEnd(t *testing.T) {
	t.Parallel()
	const transactions = 30
	file, log := crashed(t, "a", transactions)
	if last, err := recovered(t, "a", file, log); err != nil || last != transactions-1 {
		t.Fatalf("got transaction %d, %v after a crash, want the last", last, err)
	}
	if last, err := recovered(t, "a", file, nil); err != nil || last != transactions/2 {
		t.Errorf("got transaction %d, %v without the log, want that of the file", last, err)
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random, before := rand.New(rand.NewPCG(seed, 0)), transactions/2
	for part := range 40 { // frames are of a page and 24 bytes
		size := len(log)*part/40 + random.IntN(len(log)/40)
		last, err := recovered(t, "a", file, log[:size])
		if err != nil || last < before {
			t.Errorf("got transaction %d, %v of a log cut at %d, want %d or a later one", last, err, size, before)
		}
		before = max(before, last)
	}
	for range 40 {
		broken := bytes.Clone(log)
		at := random.IntN(len(broken) - 100)
		for i := range 1 + random.IntN(99) {
			broken[at+i] ^= byte(1 + random.IntN(255))
		}
		if last, err := recovered(t, "a", file, broken); err != nil || last < transactions/2 {
			t.Errorf("got transaction %d, %v of a log damaged at %d, want one of before", last, err, at)
		}
	}
}

// A copy was put back and the log of the former file left beside it. That is no store any more:
// a record reads as one of the two had written it under that key, or as an error that says what to
// do.
func TestTheLogOfAnotherFile(t *testing.T) {
	t.Parallel()
	file, _ := crashed(t, "a", 10)
	_, log := crashed(t, "b", 30)
	path := filepath.Join(t.TempDir(), "sessions.db")
	if err := errors.Join(os.WriteFile(path, file, 0o600), os.WriteFile(path+"-wal", log, 0o600)); err != nil {
		t.Fatal(err)
	}
	d, err := openDB(path, Options{}, session.NewClock())
	if err == nil {
		defer func() { _ = d.Close() }()
		for part := range 3 {
			var value string
			if value, err = get(d, strconv.Itoa(part)); err != nil {
				break
			}
			owner, _, _ := strings.Cut(value, " ")
			if rest, ok := strings.CutPrefix(value, fmt.Sprint(owner, " ", part, " ")); value != "" && !ok {
				t.Errorf("got %.20q under the key %d", rest, part)
			}
		}
	}
	if err != nil && !strings.Contains(err.Error(), "restore a backup") {
		t.Errorf("got %v, want it to say what to do", err)
	}
}
