// The file: its creation, its schema, and errors when it can't be used.

package sqlitestore

import (
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

const (
	applicationID = 0x57584175 // "WXAu"
	version       = 2

	// walLimit is the size to which the file of the last writes is cut when it has grown.
	walLimit = 64 << 20
)

// schema: due is the end of a record's time or, after a refresh, an earlier moment, so that
// refreshes leave the index alone. From ordinal to label1 there are the record's Marks; all that a
// list of users or their number needs is in an index. Values are JSON as it is, for people who look
// in with sqlite3, with spaces after it: size is without those. sum is the CRC-32 of key and value.
// In pages of 8 KiB less is left over beside accounts than in those of 4 KiB.
const schema = `
PRAGMA page_size = 8192;
PRAGMA auto_vacuum = incremental;
BEGIN IMMEDIATE;
CREATE TABLE records (
	key     BLOB NOT NULL UNIQUE,
	size    INTEGER NOT NULL,
	sum     INTEGER NOT NULL,
	expires INTEGER,
	due     INTEGER,
	ordinal INTEGER,
	weight  INTEGER,
	label0  BLOB,
	label1  BLOB,
	value   BLOB NOT NULL
) STRICT;
CREATE INDEX records_due ON records (due) WHERE due IS NOT NULL;
CREATE INDEX records_ordinal ON records (ordinal, key, weight) WHERE ordinal IS NOT NULL;
CREATE INDEX records_label0 ON records (label0) WHERE label0 IS NOT NULL;
CREATE INDEX records_label1 ON records (label1) WHERE label1 IS NOT NULL;
PRAGMA application_id = 1465401717;
PRAGMA user_version = 2;
COMMIT;`

var (
	pragmas = []string{
		"busy_timeout(2000)", "journal_mode(wal)", "synchronous(full)",
		"secure_delete(on)", "temp_store(memory)", "trusted_schema(off)", "cell_size_check(on)",
		fmt.Sprintf("journal_size_limit(%d)", walLimit),
	}
	writePragmas = append(slices.Clip(pragmas), "cache_size(-8192)", "wal_autocheckpoint(0)")
	viewPragmas  = append(slices.Clip(pragmas), "cache_size(-2048)", "query_only(on)")
)

// address names a file to the driver.
func address(file string, pragmas []string) string {
	path := filepath.ToSlash(file)
	if !strings.HasPrefix(path, "/") {
		path = "/" + path // C:/…
	}
	query := url.Values{"mode": {"rw"}, "_pragma": pragmas}
	return (&url.URL{Scheme: "file", OmitHost: true, Path: path, RawQuery: query.Encode()}).String()
}

// makeFile makes the file and its folder if there are none, and returns its name without symbolic
// links: its companions are beside the file itself, and so must its lock be.
func makeFile(file string) (string, error) {
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return "", fmt.Errorf("the folder of the session file can't be made; Caddy's user must be allowed to: %w", err)
	}
	f, err := os.OpenFile(file, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return "", fmt.Errorf("the session file can't be written; Caddy's user must be allowed to: %w", err)
	}
	if err := f.Close(); err != nil {
		return "", err
	}
	if file, err = filepath.EvalSymlinks(file); err != nil {
		return "", err
	}
	return filepath.Abs(file)
}

// hide takes the file and its companions from others' eyes. SQLite gives those that it makes the
// mode of the file.
func hide(file string) error {
	for _, suffix := range []string{"", "-wal", "-shm"} {
		if err := os.Chmod(file+suffix, 0o600); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return syncFolder(file)
}

// check makes the schema in a new file, and refuses files of others before anything is changed in
// them.
func check(file string) error {
	pool, err := sql.Open("sqlite", address(file, []string{"busy_timeout(2000)"}))
	if err != nil {
		return err
	}
	defer pool.Close()
	var id, format, tables int
	err = pool.QueryRow(`SELECT application_id, user_version, (SELECT count(*) FROM sqlite_schema)
		FROM pragma_application_id, pragma_user_version`).Scan(&id, &format, &tables)
	switch {
	case err != nil:
		return explain(file, err)
	case id == 0 && format == 0 && tables == 0: // new
		_, err := pool.Exec(schema)
		return explain(file, err)
	case id != applicationID:
		return fmt.Errorf("%s is a file of another program: name another one in `store sqlite`", file)
	case format < version:
		return fmt.Errorf("%s was written before this module was released (format %d, this one knows %d): move it away",
			file, format, version)
	case format > version:
		return fmt.Errorf("%s was written by a newer version of this module (format %d, this one knows %d): "+
			"run that version, or restore a backup from before", file, format, version)
	}
	return nil
}

// probe reads the edges of the table and its indexes: what is quick, however large the file.
func probe(pool *sql.DB) error {
	for _, column := range []string{"rowid", "key", "due", "ordinal", "label0", "label1"} {
		for _, order := range []string{"ASC", "DESC"} {
			rows, err := pool.Query("SELECT value FROM records WHERE " + column + " IS NOT NULL ORDER BY " + column + " " + order + " LIMIT 1")
			if err != nil {
				return err
			}
			for rows.Next() {
			}
			if err := errors.Join(rows.Err(), rows.Close()); err != nil {
				return err
			}
		}
	}
	return nil
}

// isBusy reports whether another program holds the lock for writing.
func isBusy(err error) bool {
	var cause *sqlite.Error
	return errors.As(err, &cause) && cause.Code()&0xff == sqlite3.SQLITE_BUSY
}

// explain adds the remedy to an error of SQLite.
func explain(file string, err error) error {
	if errors.Is(err, errDamaged) {
		return fmt.Errorf("%s: %w", file, err)
	}
	var cause *sqlite.Error
	if !errors.As(err, &cause) {
		return err
	}
	var advice string
	switch cause.Code() & 0xff {
	case sqlite3.SQLITE_NOTADB:
		advice = "it is damaged, or no session file: restore a backup, or name another file in `store sqlite`"
	case sqlite3.SQLITE_CORRUPT:
		advice = damaged
	case sqlite3.SQLITE_FULL:
		advice = "the disk is full: make room"
	case sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM:
		advice = "it and its folder must be writable by Caddy's user"
	case sqlite3.SQLITE_BUSY:
		advice = "another program, sqlite3 perhaps, is writing to it: end that"
	default:
		return fmt.Errorf("%s: %w", file, err)
	}
	return fmt.Errorf("%s: %s: %w", file, advice, err)
}

const damaged = "it is damaged: stop Caddy, and restore a backup, or move it and its -wal file away"
