// What may be a nickname.

package sidecar

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

const (
	maxNickname = 32 // characters

	// noNickname is WeChat's name for a user who chose no nickname.
	// https://developers.weixin.qq.com/community/develop/doc/00022c683e8a80b29bed2142b56c01
	noNickname = "微信用户"
)

// cleanNickname returns a nickname as it is kept, "" if it stands for none.
func cleanNickname(nickname string) (string, error) {
	if !utf8.ValidString(nickname) {
		return "", invalidRequest("nickname is not UTF-8")
	}
	nickname = norm.NFC.String(strings.TrimSpace(nickname))
	if nickname == noNickname {
		return "", nil
	}
	if n := utf8.RuneCountInString(nickname); n == 0 || n > maxNickname {
		return "", invalidRequest("nickname must have 1 to 32 characters")
	}
	if !printable(nickname) {
		return "", invalidRequest("nickname has control characters")
	}
	if !strings.ContainsFunc(nickname, visible) {
		return "", invalidRequest("nickname has nothing that can be seen")
	}
	return nickname, nil
}

// printable tells whether a text has nothing that ends a line or changes its direction, by which a
// name could pose as what stands around it.
func printable(text string) bool {
	return !strings.ContainsFunc(text, func(c rune) bool {
		return unicode.IsControl(c) || unicode.In(c, unicode.Zl, unicode.Zp, unicode.Bidi_Control) || c == '\uFEFF' || c == utf8.RuneError
	})
}

// visible is false for blanks and for what only shapes its neighbours, such as the joiner in an
// emoji. A code point that is newer than this program is most likely an emoji.
func visible(c rune) bool {
	switch c {
	case '\u2800', '\uFFFC', '\U0001D159', '\U00013441', '\U00013442': // a Braille pattern, an object, a note and hieroglyphs, all blank
		return false
	}
	return !unicode.In(c, unicode.Z, unicode.Cf, unicode.Mn, unicode.Me, unicode.Other_Default_Ignorable_Code_Point,
		unicode.Variation_Selector, unicode.Noncharacter_Code_Point)
}
