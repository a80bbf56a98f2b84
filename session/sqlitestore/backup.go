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

// partial is added to the name of a copy that is not complete.
const partial = ".partial"

// backup writes a copy of one moment to a new file. The file has its name when it is complete: a
// process that dies leaves a part with another name, which the next backup replaces.
func (d *db) backup(ctx context.Context, file string) (err error) {
	if err := d.usable(ctx); err != nil {
		return fmt.Errorf("%w: %w", session.ErrUnavailable, err)
	}
	if file, err = filepath.Abs(file); err != nil { // SQLite would take the name "file:…" for an address
		return err
	}
	d.copying.Lock()
	defer d.copying.Unlock()
	if _, err := os.Lstat(file); err == nil {
		return overwrites(fs.ErrExist)
	}
	part := file + partial
	if err := os.Remove(part); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := os.OpenFile(part, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		err = errors.Join(err, f.Close())
		if failed := os.Remove(part); err == nil && !errors.Is(failed, fs.ErrNotExist) {
			err = failed
		}
		_ = os.Remove(part + "-journal") // there where SQLite could not go on
	}()
	if _, err := d.pool.ExecContext(ctx, "VACUUM INTO ?", part); err != nil {
		return fmt.Errorf("backup to %w", explain(file, err))
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if err := name(part, file); err != nil {
		return err
	}
	return syncFolder(file)
}

// name gives a file a name that no other has. Some file systems have no second names: there
// somebody who takes it at the same moment is overwritten.
func name(part, file string) error {
	err := os.Link(part, file)
	if errors.Is(err, fs.ErrExist) {
		return overwrites(err)
	}
	if err != nil {
		return os.Rename(part, file)
	}
	return nil
}

func overwrites(err error) error {
	return fmt.Errorf("the backup would overwrite a file, choose another name: %w", err)
}
