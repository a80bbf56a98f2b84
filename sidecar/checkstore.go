// A question to the store, for an operator who wants to know now.

package sidecar

import "context"

// CheckStore returns an error if the site's store does not answer.
func (s *Site) CheckStore(ctx context.Context) error {
	release, err := s.store.retain()
	if err != nil {
		return err
	}
	defer release()
	store, err := s.store.get()
	if err != nil {
		return err
	}
	_, err = store.Stats(ctx)
	return err
}
