// The phone number inside a token that anyone may read.

package jwt

import (
	"crypto/cipher"
	"encoding/base64"
	"fmt"

	"github.com/go-json-experiment/json"

	"github.com/caddy-wechat/wechatauth/internal/aead"
)

// sealInfo separates the sealing key from the signing key it comes from.
const sealInfo = "wechatauth phone seal v1"

// newSeal derives the sealing key from a signing key's private bytes, so that
// every node that can sign can also open, and nobody configures a second key.
func newSeal(private []byte) (cipher.AEAD, error) {
	seal, err := aead.New(private, sealInfo)
	if err != nil {
		return nil, fmt.Errorf("jwt: deriving the sealing key: %w", err)
	}
	return seal, nil
}

// sealedPhone is the plaintext of a sealed phone.
type sealedPhone struct {
	Phone       string `json:"phone,omitempty"`
	PhoneNumber string `json:"phone_number,omitempty"`
}

func (k *Key) sealPhone(c *Claims) (string, error) {
	text, err := json.Marshal(sealedPhone{Phone: c.Phone, PhoneNumber: c.PhoneNumber})
	if err != nil {
		return "", fmt.Errorf("%w: phone", ErrClaims)
	}
	// No nonce is passed because the cipher makes a random one and puts it in front.
	box := k.material().seal.Seal(nil, nil, text, k.sealContext(c)) //nolint:gosec // G407 takes the nil for a fixed nonce
	return base64.RawURLEncoding.EncodeToString(box), nil
}

// openPhone fills in the phone of claims whose signature is good. Under a key without a private
// half it leaves the phone unknown: the operator kept only what is needed to verify.
func (k *Key) openPhone(sealed string, c *Claims) bool {
	box, err := base64.RawURLEncoding.Strict().DecodeString(sealed)
	if err != nil {
		return false
	}
	if !k.CanSign() {
		return true
	}

	text, err := k.material().seal.Open(nil, nil, box, k.sealContext(c))
	if err != nil {
		return false
	}
	var phone sealedPhone
	if json.Unmarshal(text, &phone, strict, json.RejectUnknownMembers(true)) != nil ||
		!plainText(phone.Phone) || !plainText(phone.PhoneNumber) {
		return false
	}
	c.Phone, c.PhoneNumber = phone.Phone, phone.PhoneNumber
	return true
}

// sealContext ties a seal to its token. Otherwise whoever can sign but not open, or finds a way to,
// moves one user's sealed phone into another's token. The dot is in none of the three alphabets.
func (k *Key) sealContext(c *Claims) []byte {
	return []byte(k.id + "." + c.ID + "." + c.OpenID)
}
