// The backup of a file that is in use.

package sqlitestore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/caddy-wechat/wechatauth/session"
)

// backup writes a copy of one moment to a new file.
func (d *db) backup(ctx context.Context, file string) (err error) {
	if err := d.usable(ctx); err != nil {
		return fmt.Errorf("%w: %w", session.ErrUnavailable, err)
	}
	if file, err = filepath.Abs(file); err != nil { // SQLite would take the name "file:…" for an address
		return err
	}
	f, err := os.OpenFile(file, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("the backup would overwrite a file, choose another name: %w", err)
	}
	if err != nil {
		return err
	}
	defer func() {
		if err = errors.Join(err, f.Close()); err != nil {
			err = errors.Join(err, os.Remove(file))
			_ = os.Remove(file + "-journal") // there where SQLite could not go on
		}
	}()
	if _, err := d.pool.ExecContext(ctx, "VACUUM INTO ?", file); err != nil {
		return fmt.Errorf("backup to %w", explain(file, err))
	}
	return errors.Join(f.Sync(), syncFolder(file))
}
