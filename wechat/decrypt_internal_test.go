// Decryption: padding, base64 and a published example.

package wechat

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"encoding/base64"
	"strings"
	"testing"
)

// The example that WeChat published, see
// https://developers.weixin.qq.com/miniprogram/dev/framework/open-ability/signature.html. It is a
// user's profile, so DecryptPhone refuses it.
const (
	publishedAppID = "wx4f4bc4dec97d474b"
	publishedKey   = "tiihtNczf5v6AKRyjwEUhQ=="
	publishedIV    = "r7BXXKkLb8qrSNn05n0qiA=="
	publishedData  = "CiyLU1Aw2KjvrjMdj8YKliAjtP4gsMZMQmRzooG2xrDcvSnxIMXFufNstNGTyaGS9uT5geRa0W4oTOb1WT7fJlAC+oNPdbB+3hVbJSRgv+4lGOETKUQz" +
		"6OYStslQ142dNCuabNPGBzlooOmB231qMM85d2/fV6ChevvXvQP8Hkue1poOFtnEtpyxVLW1zAo6/1Xx1COxFvrc2d7UL/lmHInNlxuacJXwu0fjpXfz/YqYzBIBzD6W" +
		"UfTIF9GRHpOn/Hz7saL8xz+W//FRAUid1OksQaQx4CMs8LOddcQhULW4ucetDf96JcR3g0gfRK4PC7E/r7Z6xNrXd2UIeorGj5Ef7b1pJAYB6Y5anaHqZ9J6nKEBvB4D" +
		"nNLIVWSgARns/8wR2SiRS7MNACwTyrGvt9ts8p12PKFdlqYTopNHR1Vf7XjfhQlVsAJdNiKdYmYVoKlaRv85IfVunYzO0IKXsyl7JCUjCpoG20f0a04COwfneQAGGwd5" +
		"oa+T8yO5hzuyDb/XcxxmK01EpqOyuxINew=="
	publishedText = `{"openId":"oGZUI0egBJY1zhBYw2KhdUfwVJJE","nickName":"Band","gender":1,"language":"zh_CN","city":"Guangzhou",` +
		`"province":"Guangdong","country":"CN","avatarUrl":"http://wx.qlogo.cn/mmopen/vi_32/` +
		`aSKcBBPpibyKNicHNTMM0qJVh8Kjgiak2AHWr8MHM4WgMEm7GFhsf8OYrySdbvAMvTsw3mo8ibKicsnfN5pRjl1p8HQ/0",` +
		`"unionId":"ocMvos6NjeKLIBqg5Mr9QjxrP1FA","watermark":{"timestamp":1477314187,"appid":"wx4f4bc4dec97d474b"}}`
)

func TestDecryptThePublishedExample(t *testing.T) {
	t.Parallel()
	// As the example comes, and as it looks after libraries, forms and editors had it.
	forms := map[string]string{
		"one line":             publishedData,
		"lines":                wrap(publishedData, 76, "\n"),
		"lines, CRLF":          wrap(publishedData, 64, "\r\n") + "\r\n",
		"indented":             wrap("\n"+publishedData, 60, "\n\t    "),
		"groups":               wrap(publishedData, 4, " "),
		"blanks around":        "  " + publishedData + " \t\n",
		"plus lost":            strings.ReplaceAll(publishedData, "+", " "),
		"plus lost, lines":     wrap(strings.ReplaceAll(publishedData, "+", " "), 76, "\r\n"),
		"plus lost, indented":  wrap(strings.ReplaceAll(publishedData, "+", " "), 76, "\n  "),
		"plus lost, then tabs": wrap(strings.ReplaceAll(publishedData, "+", " "), 16, "\t"),
	}
	for name, data := range forms {
		text, err := decrypt(publishedKey, data, publishedIV)
		if err != nil || string(text) != publishedText {
			t.Errorf("%s: got %d bytes, error %v, want the text", name, len(text), err)
		}
	}
	for _, iv := range []string{"r7BXXKkLb8qrSNn05n0qiA==\n", " r7BXXKkLb8qr\n SNn05n0qiA=="} {
		if text, err := decrypt(publishedKey, publishedData, iv); err != nil || string(text) != publishedText {
			t.Errorf("iv %q: got %d bytes, error %v, want the text", iv, len(text), err)
		}
	}
}

func wrap(s string, width int, with string) string {
	var b strings.Builder
	for i, r := range s {
		if i > 0 && i%width == 0 {
			b.WriteString(with)
		}
		b.WriteRune(r)
	}
	return b.String()
}

func TestDecryptRefusesWhatIsNoCiphertext(t *testing.T) {
	t.Parallel()
	block := strings.Repeat("A", 22) + "==" // 16 bytes
	tests := []struct{ name, key, data, iv string }{
		{"nothing", "", "", ""},
		{"no data", publishedKey, "", block},
		{"blank data", publishedKey, " \r\n", block},
		{"no iv", publishedKey, block, ""},
		{"no key", "", block, block},
		{"key of 15 bytes", "AAAAAAAAAAAAAAAAAAAA", block, block},
		{"key of 24 bytes", strings.Repeat("A", 32), block, block},
		{"key of 32 bytes", strings.Repeat("A", 43) + "=", block, block},
		{"key not base64", strings.Repeat("!", 24), block, block},
		{"key with a line break", publishedKey[:8] + "\n" + publishedKey[8:] + "x", block, block},
		{"iv of 15 bytes", publishedKey, block, "AAAAAAAAAAAAAAAAAAAA"},
		{"iv of 32 bytes", publishedKey, block, strings.Repeat("A", 43) + "="},
		{"iv not base64", publishedKey, block, "r7BXXKkLb8qrSNn05n0q!A=="},
		{"iv URL-safe", publishedKey, block, "r7BXXKkLb8qrSNn05n0q-_=="},
		{"iv without padding", publishedKey, block, "r7BXXKkLb8qrSNn05n0qiA"},
		{"data of 15 bytes", publishedKey, "AAAAAAAAAAAAAAAAAAAA", block},
		{"data of 17 bytes", publishedKey, "AAAAAAAAAAAAAAAAAAAAAAA=", block},
		{"data cut", publishedKey, publishedData[:len(publishedData)-4], publishedIV},
		{"data with something in front", publishedKey, "aaaa" + publishedData, publishedIV},
		{"data with something behind", publishedKey, publishedData + "aaaa", publishedIV},
		{"data with a NUL", publishedKey, "\x00" + publishedData[1:], publishedIV},
		{"data too long", publishedKey, strings.Repeat("A", 1<<20), block},
		{"bits behind the end", publishedKey, block[:21] + "B==", block},
	}
	for _, tt := range tests {
		if text, err := decrypt(tt.key, tt.data, tt.iv); err != ErrDecrypt || text != nil {
			t.Errorf("%s: got %d bytes, error %v, want none, ErrDecrypt", tt.name, len(text), err)
		}
	}
}

func TestDecryptRoundTrip(t *testing.T) {
	t.Parallel()
	key := bytes.Repeat([]byte{7}, aes.BlockSize)
	iv := bytes.Repeat([]byte{9}, aes.BlockSize)
	for n := range 100 {
		text := bytes.Repeat([]byte{'x'}, n)
		pad := aes.BlockSize - n%aes.BlockSize
		data := encryptForTest(t, key, iv, append(text[:n:n], bytes.Repeat([]byte{byte(pad)}, pad)...))
		got, err := decrypt(base64.StdEncoding.EncodeToString(key), data, base64.StdEncoding.EncodeToString(iv))
		if err != nil || !bytes.Equal(got, text) {
			t.Errorf("%d bytes: got %d, error %v, want them back", n, len(got), err)
		}
	}
}

// All bytes of the padding count, and it is at most one block: the sample code that WeChat once
// published takes 32.
func TestPaddingIsStrict(t *testing.T) {
	t.Parallel()
	key := bytes.Repeat([]byte{7}, aes.BlockSize)
	for last := range 256 {
		for same := 1; same <= 40; same++ { // bytes at the end that are equal
			text := bytes.Repeat([]byte{255 - byte(last)}, 48)
			for i := range same {
				text[47-i] = byte(last)
			}
			got, err := decrypt(base64.StdEncoding.EncodeToString(key), encryptForTest(t, key, key, text), base64.StdEncoding.EncodeToString(key))
			want := last >= 1 && last <= 16 && same >= last
			if (err == nil) != want {
				t.Errorf("%d bytes of %d: got error %v, want success %t", same, last, err, want)
			}
			if err == nil && len(got) != 48-last {
				t.Errorf("%d bytes of %d: got %d bytes, want %d", same, last, len(got), 48-last)
			}
		}
	}
}

// encryptForTest encrypts whole blocks.
func encryptForTest(t *testing.T, key, iv, text []byte) string {
	t.Helper()
	block, err := aes.NewCipher(key)
	if err != nil {
		t.Fatal(err)
	}
	out := make([]byte, len(text))
	cipher.NewCBCEncrypter(block, iv).CryptBlocks(out, text)
	return base64.StdEncoding.EncodeToString(out)
}

// The first was computed from the session_key of the page on signatures, the second from that of
// the page on encrypted data.
func TestSessionSignature(t *testing.T) {
	t.Parallel()
	for key, want := range map[string]string{
		"o0q0otL8aEzpcZL/FT9WsQ==": "46e043c5525c2d817c44be603d30837a808a1d930d038f6fdc3e62a201fed128",
		publishedKey:               "7154f9f8b4b76b92f541cbf0e37d48840fa06e5e42da92a6f80168a1516a4735",
	} {
		if got := SignUser(key, ""); got != want {
			t.Errorf("%s: got %s, want %s", key, got, want)
		}
	}
}
