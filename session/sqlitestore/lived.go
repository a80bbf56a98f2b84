// The time by which records are removed.

package sqlitestore

import (
	"database/sql"
	"errors"
	"time"

	"github.com/caddy-wechat/wechatauth/session"
)

// livedEvery is the least by which the file's time is moved on.
const livedEvery = 10 * time.Minute

// lived is the file's own time. A machine may start with a clock that is hours ahead, and by that
// clock alone a process would remove revocations that are needed once it is right. So only the time
// counts that some process had the file open, by a clock that never steps: what is over stays longer
// by the time that none had. After a day at work the machine's clock is taken for right.
type lived struct {
	clock *session.Clock
	file  time.Time     // the file's time when it was opened
	since time.Duration // by the clock, when it was opened
	saved time.Time
}

// openLived reads the file's time. In a new file, or one without, it is the clock's.
func openLived(pool *sql.DB, clock *session.Clock) (l lived, err error) {
	l = lived{clock: clock, since: clock.Elapsed()}
	_, err = pool.Exec(`CREATE TABLE IF NOT EXISTS lived (id INTEGER PRIMARY KEY CHECK (id = 0), until INTEGER NOT NULL) STRICT`)
	if err != nil {
		return l, err
	}
	var until int64
	switch err = pool.QueryRow(`SELECT until FROM lived`).Scan(&until); {
	case errors.Is(err, sql.ErrNoRows):
		l.file = clock.Over()
		_, err = pool.Exec(`INSERT INTO lived (id, until) VALUES (0, ?)`, l.file.Unix())
	case err == nil:
		l.file = time.Unix(until, 0)
	}
	l.saved = l.file
	return l, err
}

// over returns the time up to which records are over.
func (l *lived) over() time.Time {
	over, open := l.clock.Over(), l.clock.Elapsed()-l.since
	if file := l.file.Add(open); open < session.RecordMargin && file.Before(over) {
		return file
	}
	return over
}

// save moves the file's time on, if it has moved much.
func (l *lived) save(c *conn, over time.Time) error {
	if over.Sub(l.saved).Abs() < livedEvery {
		return nil
	}
	_, err := c.Exec(`UPDATE lived SET until = ?1`, over.Unix())
	if err == nil {
		l.saved = over
	}
	return err
}
