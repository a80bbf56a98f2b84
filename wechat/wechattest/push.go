// The message push: what WeChat sends to the address in an app's console.

package wechattest

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/sha1"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The modes of a message push. In the compatible one the message stands in the body twice.
const (
	SecurePush     = "secure"
	CompatiblePush = "compatible"
	PlainPush      = "plain"
)

const (
	// pushPatience is the time that WeChat waits for an answer, and pushTries how often it pushes,
	// as the customer service page said; one user counted three.
	pushPatience = 5 * time.Second
	pushTries    = 3
)

// PushConsole is the message push of an app as its console has it.
type PushConsole struct {
	AppID  string
	URL    string
	Token  string
	AESKey string // EncodingAESKey: 43 characters
	Mode   string // SecurePush if empty
	XML    bool   // JSON if not

	// Component is the AppID of a third-party platform, whose pushes end in it.
	Component string

	// Client is http.DefaultClient if nil.
	Client *http.Client
}

// PushField is a field of a message.
type PushField struct {
	Name  string
	Value any // a string, a number, or a PushMessage
}

// PushMessage is a message, in the order of its fields.
type PushMessage []PushField

// Without returns the message without a field: users saw events that lacked one.
func (m PushMessage) Without(name string) PushMessage {
	return slices.DeleteFunc(slices.Clone(m), func(f PushField) bool { return f.Name == name })
}

// With returns the message with a field, in place of the one of that name if there is one.
func (m PushMessage) With(name string, value any) PushMessage {
	m = slices.Clone(m)
	for i := range m {
		if m[i].Name == name {
			m[i].Value = value
			return m
		}
	}
	return append(m, PushField{name, value})
}

// AuthorizationEvent returns an event about a user's authorization: user_info_modified,
// user_authorization_revoke or user_authorization_cancellation.
func (s *Server) AuthorizationEvent(u *User, event, revokeInfo string) PushMessage {
	return PushMessage{
		{"ToUserName", "gh_870882ca4b1a"},
		{"FromUserName", "owAqB1v0ahK_Xlc7GshIDdf2yf7E"}, // WeChat's account, not the user
		{"CreateTime", s.seconds()},
		{"MsgType", "event"},
		{"Event", event},
		{"OpenID", u.OpenID},
		{"AppID", u.AppID},
		{"RevokeInfo", revokeInfo},
	}
}

// TextMessage returns what a user writes to the customer service.
func (s *Server) TextMessage(u *User, content string) PushMessage {
	id := binary.BigEndian.Uint64(random(8)) >> 8 // beyond what a float64 holds
	return PushMessage{
		{"ToUserName", "gh_870882ca4b1a"},
		{"FromUserName", u.OpenID},
		{"CreateTime", s.seconds()},
		{"MsgType", "text"},
		{"Content", content},
		{"MsgId", int64(id)},
	}
}

func (s *Server) seconds() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now().Unix()
}

// VerifyRequest returns the GET that the console sends when the address is entered.
func (s *Server) VerifyRequest(ctx context.Context, c PushConsole, echo string) (*http.Request, error) {
	return s.pushRequest(ctx, c, http.MethodGet, url.Values{"echostr": {echo}}, "", "")
}

// PushRequest returns a POST with a message, for tests that change something before it is sent.
func (s *Server) PushRequest(ctx context.Context, c PushConsole, m PushMessage) (*http.Request, error) {
	plain := m.encode(c.XML)
	if c.Mode == PlainPush {
		return s.pushRequest(ctx, c, http.MethodPost, url.Values{}, "", plain)
	}
	encrypted := c.encrypt(plain)
	outer := PushMessage{{"ToUserName", "gh_870882ca4b1a"}}
	if c.Mode == CompatiblePush {
		outer = m
	}
	query := url.Values{"openid": {m.text("FromUserName")}, "encrypt_type": {"aes"}}
	return s.pushRequest(ctx, c, http.MethodPost, query, encrypted, outer.With("Encrypt", encrypted).encode(c.XML))
}

func (s *Server) pushRequest(ctx context.Context, c PushConsole, method string, query url.Values, encrypted, body string) (*http.Request, error) {
	timestamp, nonce := strconv.FormatInt(s.seconds(), 10), strconv.Itoa(int(binary.BigEndian.Uint32(random(4))>>1))
	query.Set("timestamp", timestamp)
	query.Set("nonce", nonce)
	query.Set("signature", signPush(c.Token, timestamp, nonce))
	if encrypted != "" {
		query.Set("msg_signature", signPush(c.Token, timestamp, nonce, encrypted))
	}
	r, err := http.NewRequestWithContext(ctx, method, c.URL+"?"+query.Encode(), strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	r.Header.Set("User-Agent", "Mozilla/4.0")
	if method == http.MethodPost {
		r.Header.Set("Content-Type", map[bool]string{true: "text/xml", false: "application/json"}[c.XML])
	}
	return r, nil
}

// Push pushes a message until it is answered with success, at most three times, and returns how
// often it did. Each repeat is signed and encrypted anew.
func (s *Server) Push(ctx context.Context, c PushConsole, m PushMessage) (tries int, err error) {
	for tries < pushTries {
		tries++
		if err = s.pushOnce(ctx, c, m); err == nil || ctx.Err() != nil {
			break
		}
	}
	return tries, err
}

func (s *Server) pushOnce(ctx context.Context, c PushConsole, m PushMessage) error {
	ctx, cancel := context.WithTimeout(ctx, pushPatience)
	defer cancel()
	r, err := s.PushRequest(ctx, c, m)
	if err != nil {
		return err
	}
	client := c.Client
	if client == nil {
		client = http.DefaultClient
	}
	answer, err := client.Do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(io.LimitReader(answer.Body, maxBody))
	if err != nil {
		return err
	}
	if text := string(body); answer.StatusCode != http.StatusOK || text != "" && text != "success" {
		return fmt.Errorf("wechattest: the push was answered with %d %.200s, want 200 success", answer.StatusCode, text)
	}
	return nil
}

// ValidPushKey reports whether a text can be an EncodingAESKey.
func ValidPushKey(text string) bool {
	key, err := base64.StdEncoding.DecodeString(text + "=")
	return err == nil && len(key) == 32
}

// signPush returns the SHA-1 of the texts in their order, in hex, as WeChat's page has it.
func signPush(parts ...string) string {
	slices.Sort(parts)
	sum := sha1.New()
	for _, part := range parts {
		sum.Write([]byte(part))
	}
	return hex.EncodeToString(sum.Sum(nil))
}

// encrypt returns Encrypt: 16 random bytes, the length, the message and the AppID, padded to whole
// blocks of 32.
func (c PushConsole) encrypt(message string) string {
	key, err := base64.StdEncoding.DecodeString(c.AESKey + "=")
	if err != nil || len(key) != 32 {
		panic("wechattest: an EncodingAESKey has 43 letters and digits")
	}
	owner := c.AppID
	if c.Component != "" {
		owner = c.Component
	}
	frame := random(16)
	frame = binary.BigEndian.AppendUint32(frame, uint32(len(message)))
	frame = append(frame, message+owner...)
	missing := 32 - len(frame)%32
	frame = append(frame, bytes.Repeat([]byte{byte(missing)}, missing)...)

	block, err := aes.NewCipher(key)
	if err != nil {
		panic("wechattest: " + err.Error())
	}
	before := key[:aes.BlockSize]
	for at := 0; at < len(frame); at += aes.BlockSize {
		piece := frame[at : at+aes.BlockSize]
		for i := range piece {
			piece[i] ^= before[i]
		}
		block.Encrypt(piece, piece)
		before = piece
	}
	return base64.StdEncoding.EncodeToString(frame)
}

// text returns a field that is a text.
func (m PushMessage) text(name string) string {
	for _, f := range m {
		if text, ok := f.Value.(string); ok && f.Name == name {
			return text
		}
	}
	return ""
}

func (m PushMessage) encode(asXML bool) string {
	if asXML {
		return "<xml>" + m.xml() + "</xml>"
	}
	var fields []string
	for _, f := range m {
		fields = append(fields, quote(f.Name)+":"+f.json())
	}
	return "{" + strings.Join(fields, ",") + "}"
}

func (f PushField) json() string {
	switch value := f.Value.(type) {
	case PushMessage:
		return value.encode(false)
	case string:
		return quote(value)
	}
	return fmt.Sprint(f.Value)
}

func (m PushMessage) xml() string {
	var out strings.Builder
	for _, f := range m {
		text := fmt.Sprint(f.Value)
		switch value := f.Value.(type) {
		case PushMessage:
			text = value.xml()
		case string:
			text = "<![CDATA[" + value + "]]>"
		}
		fmt.Fprintf(&out, "<%s>%s</%[1]s>", f.Name, text)
	}
	return out.String()
}
