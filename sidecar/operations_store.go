// What the operator does with a whole store.

package sidecar

import (
	"errors"
	"io/fs"
	"net/http"
	"path/filepath"

	"github.com/caddy-wechat/wechatauth/session"
)

// backup answers POST backup: it copies the store to a new file of this machine.
func (o *operations) backup(w http.ResponseWriter, r *http.Request) error {
	f, err := readFields(w, r)
	if err != nil {
		return err
	}
	file, err := f.text("file")
	if err != nil {
		return err
	}
	if !filepath.IsAbs(file) {
		return invalidRequest("file must be the whole path of the copy")
	}
	store, err := o.store.get()
	if err != nil {
		return err
	}
	copier, ok := store.(revokingStore).Store.(session.Backuper)
	if !ok {
		return invalidRequest("this store has no file to be copied")
	}
	err = copier.Backup(r.Context(), file)
	switch {
	case errors.Is(err, fs.ErrExist):
		return invalidRequest("the file exists, choose another name")
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, fs.ErrPermission):
		return invalidRequest("the file can't be made there: the folder is missing, or not Caddy's to write to")
	case errors.Is(err, session.ErrUnavailable), r.Context().Err() != nil:
		return err
	case err != nil:
		o.failures.logger.Error("the store can't be copied", "error", err)
		return invalidRequest("the copy can't be written, most likely for want of room; the log has the reason")
	}
	o.failures.logger.Info("the operator copied the store", "file", file)
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// rotate answers POST keys/rotate: the next automatic keys are made now, and sign once they were
// published long enough.
func (o *operations) rotate(w http.ResponseWriter, r *http.Request) error {
	answer := struct {
		Sites []siteStatus `json:"sites"`
	}{[]siteStatus{}}
	for _, s := range o.sites {
		k, ok := s.tokens.keys.(*Keyring)
		if !ok {
			continue
		}
		if err := k.rotateNow(r.Context()); err != nil {
			return err
		}
		keys, err := k.status(r.Context())
		if err != nil {
			return err
		}
		answer.Sites = append(answer.Sites, siteStatus{s.base, s.tokens.issuer.Name, keys})
	}
	if len(answer.Sites) == 0 {
		return invalidRequest("there are no automatic keys: change key and previous_key in the configuration")
	}
	o.failures.logger.Info("the operator has the automatic keys replaced")
	writeJSON(w, http.StatusOK, answer)
	return nil
}
