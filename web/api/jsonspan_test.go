package api_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"keywatch/kv"
	"keywatch/web/api"
)

// Every byte must be judged at every place of a string: strings are read eight
// bytes at a time, and one that slips through would be stored, or end a string
// early.
func TestJSONStringsAtEveryOffset(t *testing.T) {
	for c := range 256 {
		for before := range 18 {
			value := strings.Repeat("v", before) + string([]byte{byte(c)}) + "tail of it"
			var want map[string]any
			doc := `{"v":"` + value + `"}`
			ok := json.Unmarshal([]byte(doc), &want) == nil && c < 0x80
			var got kv.Command
			err := api.ParseBatch([]byte(`{"ops":[{"op":"put","key":"a","value":"`+value+`"}]}`), 10, &got)
			if (err == nil) != ok {
				t.Fatalf("byte %#x after %d: %v, encoding/json says %v", c, before, err, ok)
			}
			if ok && string(got.Ops[0].Value) != want["v"] {
				t.Errorf("byte %#x after %d: got %q, want %q", c, before, got.Ops[0].Value, want["v"])
			}
		}
	}
}

// Keys that lie in one piece of memory must not run into each other, whatever
// their lengths and escapes.
func TestJSONKeysStayApart(t *testing.T) {
	var ops, want []string
	for i := range 400 {
		key := fmt.Sprintf("%d/%s", i, strings.Repeat("k", i*7%900))
		want = append(want, key+"ä")
		ops = append(ops, `{"op":"delete","key":"`+key+`\u00e4"}`, `{"op":"delete","key":"`+key+`"}`)
		want = append(want, key)
	}
	body := []byte(`{"ops":[` + strings.Join(ops, ",") + `]}`)
	var c kv.Command
	if err := api.ParseBatch(body, 1024, &c); err != nil {
		t.Fatal(err)
	}
	clear(body) // keys may not share memory with the request
	for i, op := range c.Ops {
		if op.Key != want[i] {
			t.Fatalf("key %d: got %.40q, want %.40q", i, op.Key, want[i])
		}
	}
}
