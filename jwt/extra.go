// Claims that others add.

package jwt

import (
	"fmt"
	"slices"

	"github.com/go-json-experiment/json"
)

// ParseExtra reads claims for [Claims.Extra]: a JSON object, as strict as the payload of a token.
// Names that this package uses itself are left out of it and returned beside it, in order.
func ParseExtra(text string) (extra map[string]any, refused []string, err error) {
	if json.Unmarshal([]byte(text), &extra, strict) != nil { // its text quotes values
		return nil, nil, fmt.Errorf("%w: the extra claims are not a plain JSON object", ErrClaims)
	}
	for name := range extra {
		if reserved(name) {
			delete(extra, name)
			refused = append(refused, name)
		}
	}
	slices.Sort(refused)
	return extra, refused, nil
}
