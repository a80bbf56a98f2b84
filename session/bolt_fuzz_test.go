package session_test

import (
	"path/filepath"
	"testing"

	"github.com/caddy-wechat/wechatauth/session"
)

// FuzzBoltJournal replays journals with any content: bytes of a file, and entries of a frame that is
// otherwise in order. No content may panic or hang, nor be taken for more than there is.
func FuzzBoltJournal(f *testing.F) {
	f.Add([]byte{}, false)
	f.Add(make([]byte, 100), false)
	f.Add(session.JournalFrame(nil), false)
	f.Add(session.JournalFrame(session.JournalEntries(map[string]string{"k": "v", "l": ""})), false)
	f.Add(session.JournalEntries(map[string]string{"k": "v", "l": ""}), true)
	f.Add(append(session.JournalEntries(map[string]string{"k": "v"}), 0, 0, 0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff, 'x'), true)
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, data []byte, entries bool) {
		if entries {
			data = session.JournalFrame(data)
		}
		records, err := session.ReplayJournal(filepath.Join(dir, "sessions.db"), data)
		if err != nil && len(records) > 0 {
			t.Errorf("got %d records and %v", len(records), err)
		}
		size := 0
		for key, value := range records {
			size += len(key) + len(value)
		}
		if size > len(data) {
			t.Errorf("got %d bytes of records from %d", size, len(data))
		}
	})
}
