package jwt

// Internal: the reader of JSON has no exported face of its own.

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
)

// FuzzParseObject holds the reader against encoding/json: what it accepts, that
// accepts too, and to the same values.
func FuzzParseObject(f *testing.F) {
	for _, seed := range []string{
		`{}`, ` {"a" : [ 1 , -0 , 0.5 , 1e+9, 2E-3 ] , "b":{"c":null,"d":true,"e":false} } `,
		`{"a":"\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00 é 😀"}`, `{"a":"\ud83d"}`, `{"a":1,"a":2}`, `{"a":1,"\u0061":2}`,
		`{"a":01}`, `{"a":-}`, `{"a":1.}`, `{"a":.5}`, `{"a":1e}`, `{"a":+1}`, `{"a":tru}`, `{"a"}`, `{"a":}`, `{,}`, `{"a":1,}`,
		`[]`, `{"a":[1,]}`, "{\"a\":\"\x01\"}", "{\"\xff\":1}", "\ufeff{}", `{}x`, `{"a":"`, `{"a":"\`, `{"a":"\u`, `{"a":"\u12`,
		`{"a":"\u+123"}`, `{"a":"\u1_23"}`, `{"a":"\ud83d\`, `{"a":` + strings.Repeat("[", 40),
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, ok := parseObject(text)
		if !ok {
			return
		}
		decoder := json.NewDecoder(strings.NewReader(text))
		decoder.UseNumber()
		var want map[string]any
		if err := decoder.Decode(&want); err != nil || !json.Valid([]byte(text)) {
			t.Fatalf("got %v, want it refused as by encoding/json: %v", got, err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("got %v, want %v", got, want)
		}
	})
}

// Strictness must not refuse what encoders write.
func TestParseObjectReadsWhatEncodersWrite(t *testing.T) {
	t.Parallel()
	for _, want := range []map[string]any{
		{},
		{"a": "", "": nil, "b": []any{}, "c": map[string]any{}},
		{"text": "\x00\x1f\"\\/<>&\u2028\u007f é 中 😀", "deep": []any{[]any{map[string]any{"x": []any{json.Number("1")}}}}},
		{"numbers": []any{json.Number("0"), json.Number("-1.5e-7"), json.Number("1e400")}},
	} {
		for _, indent := range []string{"", "\t"} {
			text, err := json.MarshalIndent(want, "", indent)
			if err != nil {
				t.Fatal(err)
			}
			if got, ok := parseObject(string(text)); !ok || !reflect.DeepEqual(got, want) {
				t.Errorf("got %v, %t for %s, want %v", got, ok, text, want)
			}
		}
	}
}
