// A connection with its statements: the session.Tx of a View or Update.

package sqlitestore

import (
	"context"
	"database/sql"
	"errors"
	"hash/crc32"
	"time"
)

// padding is the unit that sizes of values are rounded up to. An account with one session takes 440
// to 640 bytes, and 130 more after its first refresh: two units, of which nine fit into a page.
const padding = 400

// conn is a connection. One goroutine at a time uses it.
type conn struct {
	raw *sql.Conn

	get, update, insert, remove, scan  *sql.Stmt
	mark, newest, labeled, totals      *sql.Stmt
	begin, beginWrite, commit, back    *sql.Stmt
	savepoint, backToSavepoint, forget *sql.Stmt

	stmts []*sql.Stmt // all of them

	// failed is the first error of SQLite in a transaction: nothing of it can be kept.
	failed error
}

func newConn(pool *sql.DB) (*conn, error) {
	raw, err := pool.Conn(context.Background())
	if err != nil {
		return nil, err
	}
	c := &conn{raw: raw}
	for _, s := range []struct {
		stmt **sql.Stmt
		text string
	}{
		{&c.get, `SELECT value, size, sum FROM records WHERE key = ?`},
		{&c.update, `UPDATE records SET value = ?2, size = ?3, sum = ?4, expires = ?5 WHERE key = ?1 AND due <= ?5`},
		{&c.insert, `INSERT INTO records (key, value, size, sum, expires, due) VALUES (?1, ?2, ?3, ?4, ?5, ?5)
			ON CONFLICT (key) DO UPDATE SET value = ?2, size = ?3, sum = ?4, expires = ?5, due = ?5`},
		{&c.remove, `DELETE FROM records WHERE key = ?`},
		{&c.scan, `SELECT key, value, size, sum FROM records WHERE key >= ?1 AND (?2 IS NULL OR key < ?2)
			ORDER BY key`},
		{&c.mark, `UPDATE records SET ordinal = ?2, weight = ?3, label0 = ?4, label1 = ?5 WHERE key = ?1`},
		{&c.newest, `SELECT ordinal, key FROM records WHERE ordinal IS NOT NULL AND (ordinal, key) < (?1, ?2)
			ORDER BY ordinal DESC, key DESC`},
		{&c.labeled, `SELECT key FROM records WHERE label0 = ?1 AND key > ?2
			UNION SELECT key FROM records WHERE label1 = ?1 AND key > ?2 ORDER BY 1`},
		{&c.totals, `SELECT count(*), ifnull(sum(weight), 0) FROM records WHERE ordinal IS NOT NULL`},
		{&c.begin, `BEGIN`},
		{&c.beginWrite, `BEGIN IMMEDIATE`},
		{&c.commit, `COMMIT`},
		{&c.back, `ROLLBACK`},
		{&c.savepoint, `SAVEPOINT step`},
		{&c.backToSavepoint, `ROLLBACK TO step`},
		{&c.forget, `RELEASE step`},
	} {
		if *s.stmt, err = raw.PrepareContext(context.Background(), s.text); err != nil {
			return nil, errors.Join(err, c.close())
		}
		c.stmts = append(c.stmts, *s.stmt)
	}
	return c, nil
}

// close ends the statements first: the driver would keep a connection that has any.
func (c *conn) close() (err error) {
	for _, s := range c.stmts {
		err = errors.Join(err, s.Close())
	}
	return errors.Join(err, c.raw.Close())
}

// Exec runs a statement that was not prepared.
func (c *conn) Exec(text string, args ...any) (sql.Result, error) {
	result, err := c.raw.ExecContext(context.Background(), text, args...)
	return result, c.fail(err)
}

// row reads one row of a statement that was not prepared.
func (c *conn) row(text string, args []any, into ...any) error {
	return c.fail(c.raw.QueryRowContext(context.Background(), text, args...).Scan(into...))
}

// run executes a prepared statement.
func (c *conn) run(s *sql.Stmt, args ...any) error {
	_, err := s.Exec(args...)
	return c.fail(err)
}

func (c *conn) fail(err error) error {
	if err != nil && c.failed == nil {
		c.failed = err
	}
	return err
}

// errDamaged is for what SQLite took for sound.
var errDamaged = errors.New("a record does not have its checksum: " + damaged)

// Get implements session.Tx.
func (c *conn) Get(key []byte) ([]byte, error) {
	var value []byte
	var size, sum int64
	switch err := c.get.QueryRow(key).Scan(&value, &size, &sum); {
	case errors.Is(err, sql.ErrNoRows):
		return nil, nil
	case err != nil:
		return nil, c.fail(err)
	}
	return sound(key, value, size, sum)
}

// Put implements session.Tx. As long as a record's time grows, its entry in the index stays.
func (c *conn) Put(key, value []byte, expires time.Time) error {
	args := []any{key, padded(value), len(value), checksum(key, value), nil}
	if !expires.IsZero() {
		args[4] = seconds(expires)
		result, err := c.update.Exec(args...)
		if err != nil {
			return c.fail(err)
		}
		if n, err := result.RowsAffected(); n > 0 || err != nil {
			return c.fail(err)
		}
	}
	return c.run(c.insert, args...)
}

// Delete implements session.Tx.
func (c *conn) Delete(key []byte) error { return c.run(c.remove, key) }

// padded gives the value of an account room to grow at the first refresh. It can be overwritten in
// place then; else its page, which is full, would be divided.
func padded(value []byte) []byte {
	size := len(value)
	if size > padding {
		size = (size + padding - 1) / padding * padding
	}
	room := make([]byte, size)
	for i := copy(room, value); i < size; i++ {
		room[i] = ' '
	}
	return room
}

// sound returns a value as it was put.
func sound(key, value []byte, size, sum int64) ([]byte, error) {
	if size < 0 || size > int64(len(value)) || checksum(key, value[:size]) != sum {
		return nil, errDamaged
	}
	if value == nil {
		return []byte{}, nil
	}
	return value[:size:size], nil
}

func checksum(key, value []byte) int64 {
	return int64(crc32.Update(crc32.ChecksumIEEE(key), crc32.IEEETable, value))
}

// seconds rounds up, so that no record goes early.
func seconds(t time.Time) int64 { return t.Add(time.Second - 1).Unix() }
