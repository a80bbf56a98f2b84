// The automatic keys: made, published, rotated and retired.

package sidecar

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/caddy-wechat/wechatauth/jwt"
	"github.com/caddy-wechat/wechatauth/session"
)

const (
	// maxPublish is the time for which a new key is published before it signs, so that every
	// backend has fetched it by then. A shorter rotation takes a quarter of itself.
	maxPublish = time.Hour

	// retryKeys is the pause after the store could not be asked.
	retryKeys = time.Second
)

// Keyring makes, publishes, rotates and retires the automatic keys of one issuer and algorithm. The
// keys live in the store, so all nodes have the same, and every decision follows from what is
// stored.
type Keyring struct {
	name   string // in the store
	alg    string
	rotate time.Duration
	ttl    time.Duration
	store  *StoreHandle
	now    func() time.Time
	ring   jwt.Ring

	once  sync.Once
	ready chan struct{} // closed when the ring has keys
	stop  context.CancelFunc
	done  sync.WaitGroup
}

// storedKey is a key in the store. The store's record is a JSON object of lists of them, oldest
// first, by name.
type storedKey struct {
	PEM  []byte        `json:"key"`
	From time.Time     `json:"from"` // when it begins to sign
	TTL  time.Duration `json:"ttl"`  // of the tokens it signs, at most
}

// KeyringConfig describes automatic keys. A key is published before it signs, signs for Rotate, and
// verifies until its last token has expired.
type KeyringConfig struct {
	Algorithm string
	Issuer    string
	Rotate    time.Duration
	TTL       time.Duration // of the tokens, at most
}

// MinRotate leaves a few seconds to publish a key before it signs. It is for trying rotation out.
const MinRotate = 20 * time.Second

// NewKeyring returns the keys that a store keeps. Start reads them.
func NewKeyring(cfg KeyringConfig, store *StoreHandle) *Keyring {
	return &Keyring{
		name: cfg.Algorithm + " " + cfg.Issuer, alg: cfg.Algorithm, rotate: cfg.Rotate, ttl: cfg.TTL, store: store,
		now: time.Now, ready: make(chan struct{}),
	}
}

// Start opens the store and begins to read the keys. A store that is away is waited for, not for
// long.
func (k *Keyring) Start() { k.once.Do(k.start) }

// get returns the ring when it has its keys, and an error when the store did not give them so far.
func (k *Keyring) get() (*jwt.Ring, error) {
	k.Start()
	select {
	case <-k.ready:
		return &k.ring, nil
	default:
		return nil, fmt.Errorf("%w: the signing keys could not be read so far", session.ErrUnavailable)
	}
}

func (k *Keyring) start() {
	store, err := k.store.get()
	if err != nil {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	k.stop = cancel
	k.done.Go(func() { k.store.keep(ctx, func(ctx context.Context) { k.run(ctx, store) }) })
	if k.store.deny.Age() > initialSync { // it was waited for, and gave no answer
		return
	}
	select {
	case <-k.ready:
	case <-time.After(initialSync):
	}
}

// Close stops following the store.
func (k *Keyring) Close() error {
	k.once.Do(func() {})
	if k.stop != nil {
		k.stop()
		k.done.Wait()
	}
	return nil
}

func (k *Keyring) run(ctx context.Context, store session.Store) {
	for {
		wait := k.publish() / 4
		if err := k.refresh(ctx, store); err != nil {
			if ctx.Err() == nil {
				k.store.outage.failed("keys", err)
			}
			wait = min(wait, retryKeys)
		} else {
			k.store.outage.works("keys")
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
	}
}

// refresh brings store and ring up to date. Of several nodes that want to change the record at
// once, one does and the others read again.
func (k *Keyring) refresh(ctx context.Context, store session.Store) error {
	return k.change(ctx, store, k.next)
}

// change brings the stored keys and the ring up to what next makes of them.
func (k *Keyring) change(ctx context.Context, store session.Store, next func([]storedKey, time.Time) ([]storedKey, bool, error)) error {
	for {
		all, version, err := readKeys(ctx, store)
		if err != nil {
			return err
		}
		now := k.now()
		keys, changed, err := next(all[k.name], now)
		if err != nil {
			return err
		}
		if changed {
			all[k.name] = keys
			record, err := json.Marshal(all)
			if err != nil {
				return err
			}
			if swapped, err := store.SwapKeys(ctx, version, record); err != nil {
				return err
			} else if !swapped {
				continue
			}
		}
		return k.use(keys, now)
	}
}

func readKeys(ctx context.Context, store session.Store) (all map[string][]storedKey, version int64, err error) {
	record, version, err := store.Keys(ctx)
	if err != nil {
		return nil, 0, err
	}
	all = map[string][]storedKey{}
	if record != nil {
		if err := json.Unmarshal(record, &all); err != nil {
			return nil, 0, errors.New("the record of signing keys is damaged") // the cause may quote it
		}
	}
	return all, version, nil
}

// status returns the stored keys of the ring, oldest first.
func (k *Keyring) status(ctx context.Context) (keys []keyStatus, err error) {
	store, err := k.store.get()
	if err != nil {
		return nil, err
	}
	all, _, err := readKeys(ctx, store)
	if err != nil {
		return nil, err
	}
	for _, stored := range all[k.name] {
		key, err := jwt.ParseKey(k.alg, stored.PEM)
		if err != nil {
			return nil, fmt.Errorf("a stored key: %w", err)
		}
		keys = append(keys, keyStatus{key.ID(), stored.From})
	}
	return keys, nil
}

// publish returns the time for which a key of this ring is published before it signs.
func (k *Keyring) publish() time.Duration { return min(maxPublish, k.rotate/4) }

// maxAge returns the time for which a backend may keep the JWKS: a key it sees signing must have
// been in the one it has.
func (k *Keyring) maxAge() time.Duration { return min(k.publish()/2, 5*time.Minute) }

func (k *Keyring) source() any { return k.name }

// next decides what the stored keys must be now: whether one has to be made, and which have served.
func (k *Keyring) next(stored []storedKey, now time.Time) (keys []storedKey, changed bool, err error) {
	for i, key := range stored {
		// A key verifies until its last token has expired: a ttl after its successor began to sign.
		if i+1 < len(stored) && now.After(stored[i+1].From.Add(max(key.TTL, k.ttl)+k.publish())) {
			changed = true
			continue
		}
		if key.TTL < k.ttl {
			key.TTL, changed = k.ttl, true
		}
		keys = append(keys, key)
	}
	from := now
	if len(keys) > 0 {
		due := keys[len(keys)-1].From.Add(k.rotate)
		if now.Before(due.Add(-k.publish())) {
			return keys, changed, nil
		}
		// Where no node was there to make the key in time, it still is published first.
		if from = now.Add(k.publish()); from.Before(due) {
			from = due
		}
	}
	keys, err = k.add(keys, from)
	return keys, true, err
}

// add makes a key that signs from a time on.
func (k *Keyring) add(keys []storedKey, from time.Time) ([]storedKey, error) {
	made, err := jwt.GenerateKey(k.alg)
	if err != nil {
		return nil, err
	}
	pem, err := made.ExportPrivate()
	if err != nil {
		return nil, err
	}
	return append(keys, storedKey{PEM: pem, From: from, TTL: k.ttl}), nil
}

// rotateNow has the next key made before its time. One that waits for its time already is the next; if
// a clock that was ahead made it wait for long, it waits no longer than others.
func (k *Keyring) rotateNow(ctx context.Context) error {
	if _, err := k.get(); err != nil { // the loop has read them first
		return err
	}
	store, err := k.store.get()
	if err != nil {
		return err
	}
	return k.change(ctx, store, k.hurried)
}

// hurried is next, with a key that waits.
func (k *Keyring) hurried(stored []storedKey, now time.Time) (keys []storedKey, changed bool, err error) {
	keys, changed, err = k.next(stored, now)
	if err != nil {
		return nil, false, err
	}
	switch last := &keys[len(keys)-1]; {
	case last.From.After(now.Add(2 * k.publish())):
		last.From = now.Add(k.publish())
		return keys, true, nil
	case now.Before(last.From):
		return keys, changed, nil
	}
	keys, err = k.add(keys, now.Add(k.publish()))
	return keys, true, err
}

// use puts the stored keys into the ring: the newest whose time has come signs.
func (k *Keyring) use(stored []storedKey, now time.Time) error {
	var signing *jwt.Key
	var others []*jwt.Key
	for _, s := range stored {
		key, err := jwt.ParseKey(k.alg, s.PEM)
		if err != nil {
			return fmt.Errorf("a stored key: %w", err)
		}
		switch {
		case signing == nil:
			signing = key
		case now.Before(s.From):
			others = append(others, key)
		default:
			others = append(others, signing)
			signing = key
		}
	}
	if err := k.ring.Replace(signing, others...); err != nil {
		return err
	}
	select {
	case <-k.ready:
	default:
		close(k.ready)
	}
	return nil
}
