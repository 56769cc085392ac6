package kvjson_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"keywatch/kv/kvjson"
)

// Every JSON parser must read a string as it was before it was written, and
// stay on its line, or a stream of lines would break.
func FuzzString(f *testing.F) {
	f.Add("plain")
	f.Add("\x00\x1f\"\\\u2028\u2029\u2027\U0001f600\xff\xed\xa0\x80\xe2\x80")
	f.Fuzz(func(t *testing.T, s string) {
		b := kvjson.AppendString(nil, s)
		var got string
		if err := json.Unmarshal(b, &got); err != nil {
			t.Fatalf("%q: %s: %v", s, b, err)
		}
		if want := string([]rune(s)); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
		if bytes.ContainsAny(b, "\n\r") || strings.ContainsAny(string(b), "\u2028\u2029") {
			t.Errorf("%q has a line break", b)
		}
	})
}

// Each byte that is not UTF-8 shows as one replacement, as encoding/json counts
// them.
func TestStringOfOtherBytes(t *testing.T) {
	if got, want := string(kvjson.AppendString(nil, "a\xff\xfeé\xe2\x80\"")), `"a\ufffd\ufffdé\ufffd\ufffd\""`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
