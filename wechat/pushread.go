// The message in a push: JSON or XML, read into one plain object.

package wechat

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"strings"
)

const (
	// maxPushDepth bounds objects within objects, maxPushValues all values of a push: what anybody
	// can send must cost little.
	maxPushDepth  = 16
	maxPushValues = 2_000

	// maxPushTag bounds a tag. WeChat's have no attributes, and encoding/xml needs fifty times as
	// much memory for those of a tag as they are long.
	maxPushTag = 256
)

// Push is a message that WeChat pushed. XML has become the object that JSON would be, with texts
// for all values, and a list where an element comes more than once.
type Push struct{ fields map[string]any }

// Text returns a field as text, be it one or a number: WeChat's samples have either. It is "" for a
// field that is missing or anything else.
func (p Push) Text(name string) string { return textOf(p.fields[name]) }

// texts returns the values of a field that may be a list, or an element that comes more than once.
func (p Push) texts(name string) (all []string) {
	list, ok := p.fields[name].([]any)
	if !ok {
		return []string{p.Text(name)}
	}
	for _, value := range list {
		all = append(all, textOf(value))
	}
	return all
}

func textOf(value any) string {
	switch value := value.(type) {
	case string:
		return value
	case json.Number:
		return value.String()
	}
	return ""
}

// MarshalJSON implements json.Marshaler. Large numbers are as WeChat wrote them.
func (p Push) MarshalJSON() ([]byte, error) {
	if p.fields == nil {
		return []byte("{}"), nil
	}
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(p.fields); err != nil {
		return nil, err
	}
	return bytes.TrimSpace(out.Bytes()), nil
}

// readPush reads an object. WeChat's own samples have blanks in names, "< Name>" and a comma too
// many.
func readPush(text []byte) (Push, error) {
	text = bytes.TrimSpace(bytes.TrimPrefix(text, []byte("\xef\xbb\xbf")))
	r := pushReader{left: maxPushValues}
	var value any
	var err error
	switch {
	case bytes.HasPrefix(text, []byte("{")):
		value, err = r.json(text)
	case bytes.HasPrefix(text, []byte("<")):
		value, err = r.xml(text)
	default:
		err = ErrUnreadablePush
	}
	fields, ok := value.(map[string]any)
	if err != nil || !ok {
		return Push{}, ErrUnreadablePush
	}
	return Push{fields}, nil
}

// pushReader counts the values that may still come.
type pushReader struct{ left int }

var errPushBound = errors.New("wechat: a push has too many values, or too deep")

func (r *pushReader) take(depth int) error {
	if r.left--; r.left < 0 || depth > maxPushDepth {
		return errPushBound
	}
	return nil
}

// set adds a value to an object. Two names that differ only in blanks would be one for us and two
// for the next reader.
func set(object map[string]any, name string, value any) error {
	name = strings.TrimSpace(name)
	if _, ok := object[name]; ok {
		return ErrUnreadablePush
	}
	object[name] = tidy(name, value)
	return nil
}

// tidy removes the blanks around a text, unless it is what a user wrote.
func tidy(name string, value any) any {
	if text, ok := value.(string); ok && name != "Content" {
		return strings.TrimSpace(text)
	}
	return value
}

// json reads one JSON value and nothing after it.
func (r *pushReader) json(text []byte) (any, error) {
	dec := json.NewDecoder(bytes.NewReader(withoutTrailingCommas(text)))
	dec.UseNumber()
	value, err := r.jsonValue(dec, 0)
	if err != nil {
		return nil, err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, ErrUnreadablePush
	}
	return value, nil
}

func (r *pushReader) jsonValue(dec *json.Decoder, depth int) (any, error) {
	if err := r.take(depth); err != nil {
		return nil, err
	}
	token, err := dec.Token()
	if err != nil {
		return nil, err
	}
	switch token {
	case json.Delim('{'):
		return r.jsonObject(dec, depth)
	case json.Delim('['):
		list := []any{}
		for dec.More() {
			value, err := r.jsonValue(dec, depth+1)
			if err != nil {
				return nil, err
			}
			list = append(list, tidy("", value))
		}
		_, err := dec.Token()
		return list, err
	}
	return token, nil
}

func (r *pushReader) jsonObject(dec *json.Decoder, depth int) (any, error) {
	object := map[string]any{}
	for dec.More() {
		token, err := dec.Token()
		if err != nil {
			return nil, err
		}
		name, ok := token.(string)
		if !ok {
			return nil, ErrUnreadablePush
		}
		value, err := r.jsonValue(dec, depth+1)
		if err != nil {
			return nil, err
		}
		if err := set(object, name, value); err != nil {
			return nil, err
		}
	}
	_, err := dec.Token()
	return object, err
}

// withoutTrailingCommas removes a comma before the end of an object or a list.
func withoutTrailingCommas(text []byte) []byte {
	out := make([]byte, 0, len(text))
	inside, comma := false, -1 // a string; the place of a comma that nothing followed yet
	for i := 0; i < len(text); i++ {
		c := text[i]
		switch {
		case inside && c == '\\' && i+1 < len(text):
			out = append(out, c)
			i++
			c = text[i]
		case c == '"':
			inside, comma = !inside, -1
		case inside, c == ' ', c == '\t', c == '\r', c == '\n':
		case c == ',':
			comma = len(out)
		case (c == '}' || c == ']') && comma >= 0:
			out, comma = out[:comma], -1
		default:
			comma = -1
		}
		out = append(out, c)
	}
	return out
}

// xml reads the children of one element. What could name other files or grow by itself, a document
// type, is refused; encoding/xml knows no entities but its own five.
func (r *pushReader) xml(text []byte) (any, error) {
	text, ok := withTightNames(text)
	if !ok {
		return nil, errPushBound
	}
	dec := xml.NewDecoder(bytes.NewReader(text))
	var value any
	for {
		token, err := dec.Token()
		if errors.Is(err, io.EOF) {
			return value, nil
		}
		if err != nil {
			return nil, err
		}
		switch token.(type) {
		case xml.StartElement:
			if value != nil {
				return nil, ErrUnreadablePush
			}
			if value, err = r.xmlElement(dec, 0); err != nil {
				return nil, err
			}
		case xml.Directive:
			return nil, ErrUnreadablePush
		}
	}
}

// xmlElement returns the object of an element with children, and the text of another.
func (r *pushReader) xmlElement(dec *xml.Decoder, depth int) (any, error) {
	if err := r.take(depth); err != nil {
		return nil, err
	}
	var text strings.Builder
	var object map[string]any
	for {
		token, err := dec.Token()
		if err != nil {
			return nil, err
		}
		switch token := token.(type) {
		case xml.StartElement:
			value, err := r.xmlElement(dec, depth+1)
			if err != nil {
				return nil, err
			}
			if object == nil {
				object = map[string]any{}
			}
			name := token.Name.Local
			object[name] = joined(object, name, tidy(name, value))
		case xml.CharData:
			text.Write(token)
		case xml.EndElement:
			switch {
			case object != nil:
				return object, nil
			case depth == 0:
				return map[string]any{}, nil
			}
			return text.String(), nil
		case xml.Directive:
			return nil, ErrUnreadablePush
		}
	}
}

// joined returns what an object has under a name once it got one more value. Nothing but a list of
// ours is a list in XML.
func joined(object map[string]any, name string, value any) any {
	before, ok := object[name]
	if !ok {
		return value
	}
	if list, ok := before.([]any); ok {
		return append(list, value)
	}
	return []any{before, value}
}

// withTightNames removes the blanks after the < of a tag, outside of CDATA. It reports false for a
// tag that is too long.
func withTightNames(text []byte) ([]byte, bool) {
	const begin, end = "<![CDATA[", "]]>"
	out := make([]byte, 0, len(text))
	for len(text) > 0 {
		if bytes.HasPrefix(text, []byte(begin)) {
			size := len(text)
			if i := bytes.Index(text, []byte(end)); i >= 0 {
				size = i + len(end)
			}
			out, text = append(out, text[:size]...), text[size:]
			continue
		}
		c := text[0]
		out, text = append(out, c), text[1:]
		if c != '<' {
			continue
		}
		if size := bytes.IndexByte(text, '>'); size < 0 || size > maxPushTag {
			return nil, false
		}
		text = bytes.TrimLeft(text, " \t\r\n")
		if bytes.HasPrefix(text, []byte("/")) {
			out = append(out, '/')
			text = bytes.TrimLeft(text[1:], " \t\r\n")
		}
	}
	return out, true
}
