package api_test

import (
	"strings"
	"testing"

	"keywatch/kv"
	"keywatch/web/api"
)

// A tag of another epoch, or of no revision, may not match whatever stands there.
func TestCheckVersion(t *testing.T) {
	for text, want := range map[string]uint64{
		`"7f3a9c21-5"`: 5, `W/"7f3a9c21-5"`: 5, `"7f3a9c21-0"`: kv.NeverRev, `"00000001-5"`: kv.NeverRev,
	} {
		tag, ok := api.ParseETag(text)
		if got := api.CheckVersion("a", tag, 0x7f3a9c21); !ok || got.N != want || got.Kind != kv.CheckRev {
			t.Errorf("%s: got %+v, want %d", text, got, want)
		}
	}
	for _, text := range []string{"", `"`, "7f3a9c21-5", `"7f3a9c21"`, `w/"7f3a9c21-5"`} {
		if tag, ok := api.ParseETag(text); ok {
			t.Errorf("%q: got %v", text, tag)
		}
	}
	if got := string(api.AppendETag(nil, 0x7f3a9c21, 5)); got != `"7f3a9c21-5"` {
		t.Errorf("got %s", got)
	}
}

// Without it keys that no client can send again would be remembered.
func TestCheckIdemKey(t *testing.T) {
	for key, ok := range map[string]bool{"k": true, strings.Repeat("k", api.MaxIdemKey): true, "": false, strings.Repeat("k", api.MaxIdemKey+1): false, "a b": false, "é": false} {
		if err := api.CheckIdemKey("name", key); (err == nil) != ok || err != nil && !strings.Contains(err.Error(), "name") {
			t.Errorf("%q: got %v", key, err)
		}
	}
}
