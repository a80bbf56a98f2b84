// The old way to a phone number: data that the mini program got encrypted with the user's
// session_key.

package wechat

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"regexp"
	"strings"
	"time"
)

// ErrDecrypt is the one error of [DecryptPhone]: the session_key is not the one the data was
// encrypted with, or the data is not a fresh phone number of this mini program. An attacker who
// could tell one failure from another could decrypt, and in the end forge, any text, a byte at a
// time.
var ErrDecrypt = errors.New("wechat: the data is no fresh phone number encrypted with this session_key; the client must call wx.login again")

// maxEncrypted bounds encryptedData and iv before anything is made of them. A phone takes some 250
// characters, and no other object that WeChat encrypts comes near.
const maxEncrypted = 4096

// DecryptPhone reads the phone number from encryptedData and iv, which the phone button gives
// beside its code. sessionKey must be that of the verified session: nothing else ties the number to
// a user.
//
// The encryption, AES-128-CBC without a MAC, does not keep the data from being changed by the user
// it belongs to. The user knows the text of what WeChat encrypted for them, may choose the iv, cut
// the blocks apart and join them anew. What keeps the number theirs is this:
//
//   - A block that follows another than it did, or that was made up, decrypts to 16 bytes of
//     garbage. A phone object has no place for garbage: known keys, digits, this AppID and blanks
//     are all it may hold. So all after the first block is the unchanged end of one object that
//     WeChat encrypted.
//   - The first block can be made to read anything, by the iv. It may hold no digit, so it says
//     nothing of its own, and it is too short for "purePhoneNumber", so this key is in the
//     unchanged part.
//   - Texts of the user's own choice, such as a nickname, have a backslash before every quotation
//     mark, and a backslash is refused. A key in its quotation marks is therefore WeChat's, and
//     "purePhoneNumber" makes it a phone object's: its number, country code and timestamp stand as
//     WeChat wrote them, and phoneNumber has to agree with them.
//
// https://developers.weixin.qq.com/miniprogram/dev/framework/open-ability/signature.html
func DecryptPhone(sessionKey, encryptedData, iv, appID string, now time.Time) (Phone, error) {
	text, err := decrypt(sessionKey, encryptedData, iv)

	// Also after a wrong padding, so that it takes no less time than a wrong text.
	p, ok := parseEncryptedPhone(text, appID)
	if err != nil || !ok || !p.freshAt(now) {
		return Phone{}, ErrDecrypt
	}
	return p, nil
}

// ValidEncrypted reports whether encryptedData and iv are base64 of whole blocks. Others were
// damaged on their way and decrypt under no key. The sender can see that, too, so to say so reveals
// nothing of the key.
func ValidEncrypted(encryptedData, iv string) bool {
	_, data := decodeBase64(encryptedData, wholeBlocks)
	_, start := decodeBase64(iv, oneBlock)
	return data && start
}

func oneBlock(n int) bool    { return n == aes.BlockSize }
func wholeBlocks(n int) bool { return n > 0 && n%aes.BlockSize == 0 }

// decrypt returns the text of any data that the mini program got encrypted. With a wrong padding it
// returns all of the text, beside the error.
func decrypt(sessionKey, encryptedData, iv string) ([]byte, error) {
	key, err := base64.StdEncoding.Strict().DecodeString(sessionKey)
	if err != nil || len(key) != aes.BlockSize {
		return nil, ErrDecrypt
	}
	start, ok := decodeBase64(iv, oneBlock)
	if !ok {
		return nil, ErrDecrypt
	}
	text, ok := decodeBase64(encryptedData, wholeBlocks)
	if !ok {
		return nil, ErrDecrypt
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, ErrDecrypt
	}

	// CryptBlocks and NewCBCDecrypter panic on other lengths than those checked above.
	cipher.NewCBCDecrypter(block, start).CryptBlocks(text, text)
	return unpad(text)
}

// unpad removes the padding of PKCS #7: 1 to 16 bytes that each say how many they are. All are
// looked at, in constant time.
func unpad(text []byte) ([]byte, error) {
	last := text[len(text)-aes.BlockSize:]
	n := int(last[aes.BlockSize-1])
	ok := subtle.ConstantTimeLessOrEq(1, n) & subtle.ConstantTimeLessOrEq(n, aes.BlockSize)
	for i, b := range last {
		inside := subtle.ConstantTimeLessOrEq(aes.BlockSize-i, n)
		ok &= subtle.ConstantTimeSelect(inside, subtle.ConstantTimeByteEq(b, byte(n)), 1)
	}
	text = text[:len(text)-subtle.ConstantTimeSelect(ok, n, 0)]
	if ok != 1 {
		return text, ErrDecrypt
	}
	return text, nil
}

// decodeBase64 decodes s into as many bytes as fit.
//
// Line breaks and indentation come from libraries that wrap base64, and a lone blank from a form or
// a query in which the + was not escaped. The two are told apart by the length: s is first read
// without any blanks, and if that does not give whole blocks, with a + for every blank that is no
// indentation. Nothing is lost by trying, as the bytes are the sender's choice in any case.
func decodeBase64(s string, fit func(n int) bool) ([]byte, bool) {
	if len(s) > maxEncrypted {
		return nil, false
	}
	for _, reading := range []string{noBlanks.Replace(s), noLines.Replace(indentation.ReplaceAllString(s, ""))} {
		b, err := base64.StdEncoding.Strict().DecodeString(reading)
		if err == nil && fit(len(b)) {
			return b, true
		}
	}
	return nil, false
}

var (
	noBlanks    = strings.NewReplacer(" ", "", "\t", "", "\r", "", "\n", "")
	noLines     = strings.NewReplacer(" ", "+", "\t", "", "\r", "", "\n", "")
	indentation = regexp.MustCompile(`[\r\n][ \t\r\n]+`)
)

var pureNumberPattern = regexp.MustCompile(`^[0-9]{4,14}$`)

// parseEncryptedPhone takes a phone object, in any order and with any blanks between, and nothing
// else; see [DecryptPhone] for why.
func parseEncryptedPhone(text []byte, appID string) (Phone, bool) {
	if len(text) < aes.BlockSize || bytes.ContainsAny(text[:aes.BlockSize], "0123456789") ||
		bytes.ContainsFunc(text, isStrange) || text[len(text)-1] != '}' {
		return Phone{}, false
	}
	info, _ := parseObject(text)
	mark, _ := info.object("watermark")
	p, wrong := parsePhone(info, appID)
	if wrong != "" || len(info) != 4 || len(mark) != 2 || !isText(info["phoneNumber"]) || !isText(info["purePhoneNumber"]) || !info.has("countryCode") {
		return Phone{}, false
	}

	// Six keys and three values stand in quotation marks, and the country code may. More would be a
	// key that comes twice, which the map does not show, or a timestamp that is no number.
	quotes := 18
	if info["countryCode"][0] == '"' {
		quotes += 2
	}
	if bytes.Count(text, []byte(`"`)) != quotes {
		return Phone{}, false
	}
	return p, p.consistent()
}

func isText(raw []byte) bool { return len(raw) > 0 && raw[0] == '"' }

// isStrange reports characters that no phone object has.
func isStrange(r rune) bool {
	return r == '\\' || r > '~' || r < ' ' && r != '\t' && r != '\r' && r != '\n'
}

// consistent reports whether the parts are digits, and phoneNumber is the other two together or the
// number alone. How exactly WeChat writes foreign numbers is not documented: "85291234567",
// "+85291234567" and "+852 91234567" are all taken.
func (p Phone) consistent() bool {
	if !pureNumberPattern.MatchString(p.PureNumber) || !callingCode.MatchString(p.CountryCode) {
		return false
	}
	whole, ok := strings.CutPrefix(strings.TrimPrefix(p.Number, "+"), p.CountryCode)
	if ok && len(whole) > 0 && (whole[0] == ' ' || whole[0] == '-') {
		whole = whole[1:]
	}
	return ok && whole == p.PureNumber || p.Number == p.PureNumber
}
