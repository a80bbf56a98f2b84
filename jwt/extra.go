package jwt

import "fmt"

// ParseExtra reads what somebody else adds to a token as [Claims.Extra]: a JSON
// object, as strict as the payload of a token. Reserved names are left out.
func ParseExtra(text string) (map[string]any, error) {
	extra, ok := parseObject(text)
	if !ok {
		return nil, fmt.Errorf("%w: the extra claims are not a plain JSON object", ErrClaims)
	}
	for name := range extra {
		if Reserved(name) {
			delete(extra, name)
		}
	}
	return extra, nil
}
