// A question to the stores, for an operator who wants to know now.

package sidecar

import "context"

// Silent returns the names of the stores that do not answer.
func (all *Operations) Silent(ctx context.Context) (names []string) {
	for _, o := range all.stores {
		if o.askStore(ctx) != nil {
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
