// The users' pictures in the server's storage.

package sidecar

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/caddy-wechat/wechatauth/session"
)

const (
	// avatarFolder is the pictures' place in the server's storage.
	avatarFolder = "wechat_auth/avatars"

	// avatarIO bounds one call to the storage, avatarHold the wait for other changes of the same
	// user's picture. The file storage gives the lock of a process that died free after ten
	// seconds; the client is rather told to try again.
	avatarIO   = 5 * time.Second
	avatarHold = 5 * time.Second

	// Each half of a picture's name is 128 bits.
	avatarHalf = 16
	avatarExt  = ".jpg"
)

// Storage is a storage of files, shared by all nodes. Names are parted by slashes. What is not
// there is an fs.ErrNotExist.
type Storage interface {
	// Lock waits until no other node has the lock of a name, or ctx is done.
	Lock(ctx context.Context, name string) error
	Unlock(ctx context.Context, name string) error

	// Store writes a file, whole or not at all, in place of one of that name.
	Store(ctx context.Context, key string, value []byte) error
	Load(ctx context.Context, key string) ([]byte, error)
	Delete(ctx context.Context, key string) error
	Exists(ctx context.Context, key string) bool

	// List returns the names below a path.
	List(ctx context.Context, path string, recursive bool) ([]string, error)
}

// pictures keeps the users' pictures in the server's storage, which a cluster shares.
//
// A picture's name is a number of its owner and a digest of its bytes, so it can be cached for
// good. All of one user's pictures lie in one folder, so that what a crash left behind is found.
// The number is made once, of the user, the store and this machine, and then stands in the user's
// record: stores that share such a storage never touch each other's pictures, and a store that is
// moved or gets another password keeps its own. Without the machine's part, whoever guesses a
// password could see whether it is right.
//
//	wechat_auth/avatars/<2 digits>/<owner>/<picture>.jpg
type pictures struct {
	storage Storage
	store   string // tells session stores apart
	machine func() string
	log     *slog.Logger

	mu   sync.Mutex // guards what follows
	held map[string]*avatarTurn
}

// avatarTurn is held by one request of this process; users counts those that wait, too.
type avatarTurn struct {
	free  chan struct{}
	users int
}

func newPictures(storage Storage, store string, machine func() string, log *slog.Logger) *pictures {
	return &pictures{storage: storage, store: store, machine: machine, log: log, held: map[string]*avatarTurn{}}
}

// hold keeps other changes of the user's picture away, on every node, until release is called. What
// is read from the user's record, put, written there and removed must be so by one request at a
// time: else a late remove takes what another request has just recorded.
func (a *pictures) hold(ctx context.Context, user session.UserID) (release func(), err error) {
	ctx, cancel := context.WithTimeout(ctx, avatarHold)
	defer cancel()
	name := avatarLock(user)
	leave, err := a.enter(ctx, name) // the file storage asks for a lock but once a second
	if err != nil {
		return nil, avatarError("waiting for the lock", err)
	}
	if err := a.storage.Lock(ctx, name); err != nil {
		leave()
		return nil, avatarError("locking", err)
	}
	return func() {
		defer leave()
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), avatarIO)
		defer cancel()
		if err := a.storage.Unlock(ctx, name); err != nil {
			a.log.Error("an avatar's lock could not be released", "error", err)
		}
	}, nil
}

// enter is hold among the requests of this process.
func (a *pictures) enter(ctx context.Context, name string) (leave func(), err error) {
	a.mu.Lock()
	turn, ok := a.held[name]
	if !ok {
		turn = &avatarTurn{free: make(chan struct{}, 1)}
		a.held[name] = turn
	}
	turn.users++
	a.mu.Unlock()

	forget := func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		if turn.users--; turn.users == 0 {
			delete(a.held, name)
		}
	}
	select {
	case turn.free <- struct{}{}:
		return func() { <-turn.free; forget() }, nil
	case <-ctx.Done():
		forget()
		return nil, ctx.Err()
	}
}

// put stores a picture of a user who has another one, or "", and returns its hash. Record it, and
// remove the other then: a crash between the two leaves it to the next remove. The caller holds the
// user.
func (a *pictures) put(ctx context.Context, user session.UserID, has string, jpeg []byte) (hash string, err error) {
	ctx, cancel := context.WithTimeout(ctx, avatarIO)
	defer cancel()
	owner, _, ok := splitAvatar(has)
	if !ok {
		owner = a.firstOwner(user)
	}
	picture := avatarDigest(jpeg)
	// Also when it is there, for that heals a damaged one.
	if err := a.storage.Store(ctx, avatarKey(owner, picture), jpeg); err != nil {
		return "", avatarError("storing", err)
	}
	return owner + picture, nil
}

// remove removes all pictures of a user who has this one, or "", apart from one to keep, or "". The
// caller holds the user.
func (a *pictures) remove(ctx context.Context, user session.UserID, has, keep string) error {
	first := a.firstOwner(user)
	if owner, _, ok := splitAvatar(has); ok && owner != first {
		if err := a.clear(ctx, owner, keep); err != nil {
			return err
		}
	}
	return a.clear(ctx, first, keep) // also where the record was lost
}

// clear removes all pictures of an owner apart from one.
func (a *pictures) clear(ctx context.Context, owner, keep string) error {
	ctx, cancel := context.WithTimeout(ctx, avatarIO)
	defer cancel()
	if of, picture, ok := splitAvatar(keep); ok && of == owner {
		keep = avatarKey(owner, picture)
	} else {
		keep = ""
	}
	folder := avatarUserFolder(owner)
	keys, err := a.storage.List(ctx, folder, false)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return avatarError("listing", err)
	}
	for _, key := range keys {
		// Whatever lies there is the user's: also what a crash left half-written.
		if key == keep || !strings.HasPrefix(key, folder+"/") {
			continue
		}
		if err := a.storage.Delete(ctx, key); err != nil {
			return avatarError("removing", err)
		}
	}
	if keep == "" && a.storage.Exists(ctx, folder) { // a folder is something in the file storage only
		if err := a.storage.Delete(ctx, folder); err != nil {
			return avatarError("removing", err)
		}
	}
	return nil
}

// get returns a picture, or errNoPicture.
func (a *pictures) get(ctx context.Context, hash string) ([]byte, error) {
	owner, picture, ok := splitAvatar(hash)
	if !ok {
		return nil, errNoPicture
	}
	ctx, cancel := context.WithTimeout(ctx, avatarIO)
	defer cancel()
	jpeg, err := a.storage.Load(ctx, avatarKey(owner, picture))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errNoPicture
	}
	if err != nil {
		return nil, avatarError("loading", err)
	}
	// What is served is marked as a picture for everybody and for good: only what was put may be.
	if avatarDigest(jpeg) != picture {
		return nil, avatarError("loading", errors.New("a stored picture is damaged"))
	}
	return jpeg, nil
}

// serve answers GET and HEAD of the picture with this file name, the last part of the URL.
func (a *pictures) serve(w http.ResponseWriter, r *http.Request, file string) error {
	hash, ok := strings.CutSuffix(file, avatarExt)
	if !ok {
		return errNoPicture
	}
	jpeg, err := a.get(r.Context(), hash)
	if err != nil {
		return err
	}
	header := w.Header()
	header.Set("Content-Type", "image/jpeg")
	header.Set("Etag", `"`+hash+`"`)
	header.Set("Cache-Control", "public, max-age=31536000, immutable")
	header.Set("Content-Disposition", `inline; filename="avatar.jpg"`)
	// The bytes are this server's own encoding. Should a browser still find something to run in
	// them, it must not, though it may show the picture on another site's page.
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Content-Security-Policy", "default-src 'none'; sandbox")
	header.Set("Cross-Origin-Resource-Policy", "cross-origin")

	// Of the conditions only this one has a use here, and refusing a range would be no JSON.
	asked := r.WithContext(r.Context())
	asked.Header = http.Header{"If-None-Match": r.Header["If-None-Match"]}
	http.ServeContent(w, asked, "", time.Time{}, bytes.NewReader(jpeg))
	return nil
}

// avatarLock is the name of the user's lock in the storage.
func avatarLock(user session.UserID) string {
	tag := user.Tag()
	sum := sha256.Sum256(append([]byte("wechatauth avatar of "), tag[:]...))
	return "wechat_auth_avatar_" + hex.EncodeToString(sum[:avatarHalf])
}

// firstOwner is the owner's half of a name until the user's record has one.
func (a *pictures) firstOwner(user session.UserID) string {
	tag := user.Tag()
	sum := sha256.Sum256(fmt.Appendf(nil, "wechatauth avatar %s %x %s", a.machine(), tag, a.store))
	return hex.EncodeToString(sum[:avatarHalf])
}

func avatarDigest(jpeg []byte) string {
	sum := sha256.Sum256(jpeg)
	return hex.EncodeToString(sum[:avatarHalf])
}

// splitAvatar takes a hash apart; keys are made of nothing that it did not pass.
func splitAvatar(hash string) (owner, picture string, ok bool) {
	const digits = 2 * avatarHalf
	if len(hash) != 2*digits {
		return "", "", false
	}
	for _, c := range []byte(hash) {
		if (c < '0' || '9' < c) && (c < 'a' || 'f' < c) {
			return "", "", false
		}
	}
	return hash[:digits], hash[digits:], true
}

func avatarKey(owner, picture string) string {
	return avatarUserFolder(owner) + "/" + picture + avatarExt
}

// avatarUserFolder has one more level, so that no folder holds a file for each user.
func avatarUserFolder(owner string) string {
	return avatarFolder + "/" + owner[:2] + "/" + owner
}

func avatarError(doing string, err error) error {
	return fmt.Errorf("%w: %s an avatar: %w", session.ErrUnavailable, doing, err)
}
