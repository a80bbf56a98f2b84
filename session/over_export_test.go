package session

import "context"

// Records returns all that is in the DB below a store made by Over, keys and values one after the other.
func Records(s Store) (all []byte, err error) {
	db := s.(*over).db
	err = db.View(context.Background(), func(tx Tx) error {
		return tx.Scan(nil, func(key, value []byte) error {
			all = append(append(all, key...), value...)
			return nil
		})
	})
	return all, err
}
