// The rules for JSON in tokens, beside those that the package json has by
// itself: no name twice, no broken UTF-8, no other case, nothing after the end.
// Two readers of one token must not see two users.

package jwt

import (
	stdjson "encoding/json"
	"errors"
	"strconv"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// maxTime is 2^53, the last integer that every JSON reader takes for the same.
const maxTime = 1 << 53

// maxDepth bounds nesting, the object itself included. Hooks add flat claims,
// and some readers give up soon.
const maxDepth = 16

var (
	errNull = errors.New("null")
	errTime = errors.New("not whole seconds")
	errDeep = errors.New("nested too deep")
)

var strict = json.JoinOptions(
	json.WithUnmarshalers(json.UnmarshalFromFunc(unmarshalStrictly)),
	json.WithMarshalers(json.MarshalToFunc(func(enc *jsontext.Encoder, n stdjson.Number) error {
		return enc.WriteValue(jsontext.Value(n))
	})),
	json.Deterministic(true),
)

// unmarshalStrictly refuses null for a value that has a type, and reads numbers
// as they are written.
func unmarshalStrictly(dec *jsontext.Decoder, v any) error {
	kind := dec.PeekKind()
	switch v := v.(type) {
	case *any:
		if dec.StackDepth() >= maxDepth && (kind == '{' || kind == '[') {
			return errDeep
		}
		if kind == '0' {
			text, err := dec.ReadValue()
			*v = stdjson.Number(text)
			return err
		}
		return errors.ErrUnsupported
	case *int64: // golang-jwt also takes a string, a fraction, or 1e18, the year 31 billion
		text, err := dec.ReadValue()
		if err != nil {
			return err
		}
		n, err := strconv.ParseUint(string(text), 10, 64)
		if err != nil || n > maxTime {
			return errTime
		}
		*v = int64(n)
		return nil
	}
	if kind == 'n' {
		return errNull
	}
	return errors.ErrUnsupported
}

// Audience is the aud claim: a text, which every library understands, or a list of several.
type Audience []string

// MarshalJSONTo implements json.MarshalerTo.
func (a Audience) MarshalJSONTo(enc *jsontext.Encoder) error {
	if len(a) == 1 {
		return enc.WriteToken(jsontext.String(a[0]))
	}
	return json.MarshalEncode(enc, []string(a))
}

// UnmarshalJSONFrom implements json.UnmarshalerFrom.
func (a *Audience) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	if dec.PeekKind() != '"' {
		return json.UnmarshalDecode(dec, (*[]string)(a))
	}
	*a = make(Audience, 1)
	return json.UnmarshalDecode(dec, &(*a)[0])
}
