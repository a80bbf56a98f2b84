// A question to the stores, for an operator who wants to know now.

package sidecar

import "context"

// Failing returns the names of the stores that do not answer, or failed when they were used last.
func (all *Operations) Failing(ctx context.Context) (names []string) {
	for _, o := range all.stores {
		if o.askStore(ctx) != nil || o.store.outage.lasts() {
			names = append(names, o.name)
		}
	}
	return names
}

func (o *operations) askStore(ctx context.Context) error {
	release, err := o.store.retain()
	if err != nil {
		return err
	}
	defer release()
	store, err := o.store.get()
	if err != nil {
		return err
	}
	_, err = store.Stats(ctx)
	return err
}
