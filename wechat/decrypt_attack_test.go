// Attacks on encrypted phone numbers: forged ciphertexts of the user's own making.

package wechat_test

import (
	"bytes"
	"crypto/aes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// What a user has of their own: numbers that WeChat verified for them, in any way that WeChat may
// write them, and profiles with a nickname of their choice. All are fresh, since the user can get
// new ones at any time.
func ownTexts(t testing.TB) (phones, profiles []string) {
	t.Helper()
	mark := fmt.Sprintf(`"watermark":{"timestamp":%d,"appid":"%s"}`, tapped, testAppID)
	for _, n := range [][3]string{
		{"13800138000", "13800138000", "86"},
		{"15912345678", "15912345678", "86"},
		{"+8613800138000", "13800138000", "86"},
		{"85291234567", "91234567", "852"},
		{"+852 91234567", "91234567", "852"},
		{"+12025550143", "2025550143", "1"},
		{"+99812345678901234", "12345678901234", "998"}, // longer than a block
	} {
		phones = append(phones,
			`{"phoneNumber":"`+n[0]+`","purePhoneNumber":"`+n[1]+`","countryCode":"`+n[2]+`",`+mark+`}`)
	}
	phones = append(phones, strings.Replace(phones[0], `"86"`, `86`, 1))

	want := `"phoneNumber":"13900139000","purePhoneNumber":"13900139000","countryCode":"86",` + mark + `}`
	for _, wish := range []string{
		"{" + want, want, want[len(`"phoneNumber":"`):], want[len(`"phoneNumber":`):],
		strings.ReplaceAll(want, `"`, ""), "13900139000", "13900139000,", `\`, `\\"`, "    ",
	} {
		for shift := range aes.BlockSize {
			nickname, err := json.Marshal(strings.Repeat("x", shift) + wish)
			if err != nil {
				t.Fatal(err)
			}
			profiles = append(profiles, `{"nickName":`+string(nickname)+`,`+mark+`}`)
			if shift%4 == 0 {
				profiles = append(profiles, `{"openId":"o1","nickName":`+string(nickname)+`,"gender":1,"city":"",`+mark+`}`)
			}
		}
	}
	return phones, profiles
}

// known returns what the user knows of block k without the key: what its ciphertext decrypts to
// before the xor.
func (s sealed) known(k int) []byte {
	before := s.iv
	if k > 0 {
		before = s.data[(k-1)*aes.BlockSize : k*aes.BlockSize]
	}
	return xor(before, s.plain()[k*aes.BlockSize:])
}

// plain is the text with its padding.
func (s sealed) plain() []byte {
	pad := len(s.data) - len(s.text)
	return append([]byte(s.text), bytes.Repeat([]byte{byte(pad)}, pad)...)
}

func (s sealed) blocks() int { return len(s.data) / aes.BlockSize }

// from is the end of s from block k on, with an iv that makes its first block read start.
func (s sealed) from(k int, start string) sealed {
	return sealed{iv: xor(s.known(k), []byte(start)), data: s.data[k*aes.BlockSize:]}
}

func xor(a, b []byte) []byte {
	out := make([]byte, aes.BlockSize)
	for i := range out {
		out[i] = a[i] ^ b[i]
	}
	return out
}

func sealAll(t *testing.T, texts []string) []sealed {
	t.Helper()
	var all []sealed
	for _, text := range texts {
		all = append(all, seal(t, text))
	}
	return all
}

// beginnings are texts of 16 bytes to put in front: every beginning of an object, up to there, with
// blanks where JSON allows some.
func beginnings(object string) []string {
	var all []string
	for n := 1; n <= min(aes.BlockSize, len(object)); n++ {
		part, blanks := object[:n], strings.Repeat(" ", aes.BlockSize-n)
		all = append(all, part+blanks, blanks+part, part[:1]+blanks+part[1:])
	}
	return all
}

// The iv is nowhere protected: its owner lets the first block read what they like, and drops blocks
// from the front. Behind it comes the untouched end of any object of theirs.
func TestAttackFirstBlockRewritten(t *testing.T) {
	t.Parallel()
	var many []string
	for _, object := range []string{
		`{"phoneNumber":"13900139000`, `{"phoneNumber":13900139000`, `{"phoneNumber":"+86`, `{"purePhoneNumber":"139`,
		`{"countryCode":"1","`, `{"countryCode":1,"p`, `{"watermark":{"appid"`, `{"nickName":"x`, `{"gender":1,`, `{"":"`, `{"\"`,
	} {
		many = append(many, beginnings(object)...)
	}
	few := []string{`{"phoneNumber":"`, `{"phoneNumber": `, `{"countryCode":"`, `{"nickName":    `}

	phones, profiles := ownTexts(t)
	tried := 0
	try := func(texts, begin []string) {
		for _, s := range sealAll(t, texts) {
			for k := range s.blocks() {
				for _, start := range begin {
					forged := s.from(k, start)
					if bytes.Equal(forged.iv, s.iv) {
						continue // what WeChat made
					}
					tried++
					if p, err := forged.open(tapTime); err == nil {
						t.Errorf("%q in front of block %d of %s: got phone %q, want none", start, k+1, s.text, p.Number)
					}
				}
			}
		}
	}
	try([]string{phones[0], phones[4], phones[6]}, many)
	try(append(phones, profiles...), few)
	t.Logf("%d ciphertexts", tried)
}

// The number of one object into the other: runs of blocks of two objects of the same user, joined
// at any place. The first block after the joint is garbage.
func TestAttackBlocksJoined(t *testing.T) {
	t.Parallel()
	phones, profiles := ownTexts(t)
	var profile string
	for _, p := range profiles {
		if i := strings.Index(p, "13900139000"); i > 0 && i%aes.BlockSize == 0 {
			profile = p // with a number just where a phone object has one
			break
		}
	}
	all := sealAll(t, []string{phones[0], phones[1], phones[3], profile})
	tried := 0
	for x, a := range all {
		for y, b := range all {
			for end := 1; end <= a.blocks(); end++ {
				for k := range b.blocks() {
					forged := sealed{iv: a.iv, data: append(a.data[:end*aes.BlockSize:end*aes.BlockSize], b.data[k*aes.BlockSize:]...)}
					if x == y && end == k {
						continue // nothing was cut out
					}
					tried++
					wantRefused(t, fmt.Sprintf("%d blocks of %s before block %d of %s", end, a.text, k, b.text), forged)
					forged.iv = xor(a.known(0), []byte(`{"phoneNumber":"`))
					wantRefused(t, fmt.Sprintf("the same from a phone on, %d %d %d %d", x, end, y, k), forged)
				}
			}
		}
	}
	t.Logf("%d ciphertexts", 2*tried)
}

// A change in one block of the ciphertext makes a wanted change in the next block of the text, at
// the price of garbage in its own.
func TestAttackWantedChanges(t *testing.T) {
	t.Parallel()
	phones, _ := ownTexts(t)
	for _, s := range sealAll(t, phones) {
		for _, change := range [][2]string{
			{"138", "139"}, {"159", "139"}, {`"86"`, `"49"`}, {"852", "853"}, {`:1,`, `:7,`}, {fmt.Sprint(tapped), fmt.Sprint(tapped + 60)},
		} {
			at := strings.Index(s.text, change[0])
			if at < aes.BlockSize {
				continue
			}
			data := bytes.Clone(s.data)
			for i := range change[0] {
				data[at-aes.BlockSize+i] ^= change[0][i] ^ change[1][i]
			}
			wantRefused(t, fmt.Sprintf("%s to %s in %s", change[0], change[1], s.text), sealed{iv: s.iv, data: data})

			// The garbage pushed out of the object: a new first block instead of the blocks before
			// the change.
			for k := at/aes.BlockSize - 1; k >= 0; k-- {
				rest := sealed{iv: xor(s.known(k), []byte(`{"phoneNumber":"`)), data: data[k*aes.BlockSize:]}
				wantRefused(t, fmt.Sprintf("%s to %s from block %d of %s", change[0], change[1], k, s.text), rest)
			}
		}
	}
}

func TestAttackEveryBitFlipped(t *testing.T) {
	t.Parallel()
	for _, text := range []string{ownPhone, wholeBlocks(ownPhone), strings.Replace(ownPhone, `"86"`, `86`, 1)} {
		s := seal(t, text)
		for bit := range 8 * len(s.iv) {
			iv := bytes.Clone(s.iv)
			iv[bit/8] ^= 1 << (bit % 8)
			wantRefused(t, fmt.Sprintf("bit %d of the iv", bit), sealed{iv: iv, data: s.data})
		}
		for bit := range 8 * len(s.data) {
			data := bytes.Clone(s.data)
			data[bit/8] ^= 1 << (bit % 8)
			wantRefused(t, fmt.Sprintf("bit %d of the data", bit), sealed{iv: s.iv, data: data})
		}
		for n := range s.blocks() {
			wantRefused(t, fmt.Sprintf("only %d blocks", n), sealed{iv: s.iv, data: s.data[:n*aes.BlockSize]})
			wantRefused(t, fmt.Sprintf("without %d blocks", n+1), sealed{iv: s.iv, data: s.data[(n+1)*aes.BlockSize:]})
		}
		wantRefused(t, "twice", sealed{iv: s.iv, data: append(bytes.Clone(s.data), s.data...)})
		wantRefused(t, "a block in front", sealed{iv: s.iv, data: append(bytes.Clone(s.iv), s.data...)})
		wantRefused(t, "not whole blocks", sealed{iv: s.iv, data: s.data[:len(s.data)-1]})
		wantRefused(t, "iv too short", sealed{iv: s.iv[:15], data: s.data})
		wantRefused(t, "iv too long", sealed{iv: append(bytes.Clone(s.iv), 0), data: s.data})
	}
}

// Should WeChat one day begin with the country code, as a number, its digits would be in the block
// that anybody can rewrite.
func TestAttackCountryCodeInTheFirstBlock(t *testing.T) {
	t.Parallel()
	s := seal(t, `{"countryCode":86,`+strings.Replace(ownPhone, `,"countryCode":"86"`, "", 1)[1:])
	wantRefused(t, "as WeChat made it", s)
	wantRefused(t, "86 to 16", s.from(0, `{"countryCode":1`))
}
