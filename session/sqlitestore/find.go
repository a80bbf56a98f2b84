// Records found by other than their key.

package sqlitestore

import (
	"bytes"
	"database/sql"

	"github.com/caddy-wechat/wechatauth/session"
)

// Scan implements session.Tx.
func (c *conn) Scan(prefix, from []byte, each func(key, value []byte) error) error {
	begin := []byte{} // nil would be NULL
	if begin = append(begin, prefix...); bytes.Compare(from, prefix) > 0 {
		begin = from
	}
	var end any
	if e := after(prefix); e != nil {
		end = e
	}
	return c.each(c.scan, []any{begin, end}, func(rows *sql.Rows) error {
		var key, value []byte
		var size, sum int64
		if err := rows.Scan(&key, &value, &size, &sum); err != nil {
			return c.fail(err)
		}
		value, err := sound(key, value, size, sum)
		if err != nil {
			return err
		}
		return each(key, value)
	})
}

// after returns the first key after all that begin with a prefix, nil if there is none.
func after(prefix []byte) []byte {
	end := bytes.TrimRight(bytes.Clone(prefix), "\xff")
	if len(end) == 0 {
		return nil
	}
	end[len(end)-1]++
	return end
}

// Mark implements session.Tx. Marks are not in the checksum: what they find is only a hint.
func (c *conn) Mark(key []byte, m session.Marks) error {
	args := []any{key, nil, m.Weight, nil, nil}
	if m.Order != 0 {
		args[1] = m.Order
	}
	for i, label := range m.Labels {
		if label != "" {
			args[3+i] = []byte(label)
		}
	}
	return c.run(c.mark, args...)
}

// Newest implements session.Tx.
func (c *conn) Newest(order int64, key []byte, each func(order int64, key []byte) error) error {
	return c.each(c.newest, []any{order, append([]byte{}, key...)}, func(rows *sql.Rows) error {
		var order int64
		var key []byte
		if err := rows.Scan(&order, &key); err != nil {
			return c.fail(err)
		}
		return each(order, key)
	})
}

// Labeled implements session.Tx.
func (c *conn) Labeled(label string, after []byte, each func(key []byte) error) error {
	return c.each(c.labeled, []any{[]byte(label), append([]byte{}, after...)}, func(rows *sql.Rows) error {
		var key []byte
		if err := rows.Scan(&key); err != nil {
			return c.fail(err)
		}
		return each(key)
	})
}

// Totals implements session.Tx.
func (c *conn) Totals() (records, weight int64, err error) {
	err = c.totals.QueryRow().Scan(&records, &weight)
	return records, weight, c.fail(err)
}

// each passes the rows of a query until there is an error.
func (c *conn) each(query *sql.Stmt, args []any, pass func(*sql.Rows) error) error {
	rows, err := query.Query(args...)
	if err != nil {
		return c.fail(err)
	}
	defer rows.Close()
	for rows.Next() {
		if err := pass(rows); err != nil {
			return err
		}
	}
	return c.fail(rows.Err())
}
