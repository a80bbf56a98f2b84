// Checks for weak HMAC secrets. One token is enough to guess a secret offline, so public and
// enumerable ones are refused at start.

package jwt

import (
	"bytes"
	"fmt"
)

// minDistinctBytes refuses keyboard mashing such as 32 zeros. A random secret
// of 32 hexadecimal digits falls under it once in 10^10.
const minDistinctBytes = 6

// famousSecrets are long enough to pass a length check and stand in tutorials,
// in the debugger of jwt.io or in RFC 7515. Lower case, with '-' for '_' and ' '.
var famousSecrets = []string{
	"a-string-secret-at-least-256-bits-long",
	"a-valid-string-secret-that-is-at-least-384-bits-long",
	"a-valid-string-secret-that-is-at-least-512-bits-long-which-is-very-long",
	"your-256-bit-secret",
	"your-384-bit-secret",
	"your-512-bit-secret",
	"your-jwt-secret",
	"your-secret-key",
	"yoursecretkey",
	"my-secret-key",
	"mysecretkey",
	"super-secret",
	"supersecret",
	"secret-key",
	"secretkey",
	"change-this",
	"changethis",
	"change-me",
	"changeme",
	"keyboard-cat",
	"password",
	"qwertyuiop",
	"abcdefghijklmnopqrstuvwxyz",
	"0123456789",
	"1234567890",
	"this-is-my-custom-secret-key-for-authentication",
	"this-is-used-to-sign-and-verify-jwt-tokens",
	"404e635266556a586e3272357538782f413f4428472b4b6250645367566b5970",
	"aym1sysppbyfdfzld3umj1qzkobwvmkoqq-estjqlr-t-1qs0gzh75aktmn3yj0ips4hcguutwjazzr9z1caow",
}

func checkSecret(a *algorithm, secret []byte) error {
	if len(secret) < a.secretSize {
		return fmt.Errorf("%w: %s needs a secret of at least %d bytes, and this one has %d; make one with: %s",
			ErrKey, a.name, a.secretSize, len(secret), a.recipe)
	}
	if repetitive(secret, a.secretSize) {
		return fmt.Errorf("%w: the secret for %s repeats itself and can be guessed; make one with: %s",
			ErrKey, a.name, a.recipe)
	}

	// A public text adds nothing, so the rest alone must be a good secret. This catches famous
	// secrets padded to length, and lets through long random ones that happen to carry a label.
	rest := withoutFamous(secret)
	if len(rest) < a.secretSize || repetitive(rest, a.secretSize) {
		return fmt.Errorf("%w: the secret for %s is, or is built on, a published example; make one with: %s",
			ErrKey, a.name, a.recipe)
	}
	return nil
}

// repetitive reports whether a secret has few distinct bytes, or is a piece
// shorter than size written twice or more.
func repetitive(secret []byte, size int) bool {
	var seen [256]bool
	distinct := 0
	for _, b := range secret {
		if !seen[b] {
			seen[b] = true
			distinct++
		}
	}
	if distinct < minDistinctBytes {
		return true
	}

	for period := 1; period < size && period <= len(secret)/2; period++ {
		if bytes.Equal(secret[period:], secret[:len(secret)-period]) {
			return true
		}
	}
	return false
}

// withoutFamous returns the secret without the famous pieces in it. It works
// on bytes, not runes: a secret need not be text.
func withoutFamous(secret []byte) []byte {
	folded := bytes.Clone(secret)
	for i, b := range folded {
		switch {
		case b >= 'A' && b <= 'Z':
			folded[i] = b + ('a' - 'A')
		case b == '_' || b == ' ':
			folded[i] = '-'
		}
	}

	for _, famous := range famousSecrets {
		folded = bytes.ReplaceAll(folded, []byte(famous), nil)
	}
	return folded
}
