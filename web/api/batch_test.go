package api_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"testing"
	"time"
	"unicode/utf8"

	"keywatch/kv"
	"keywatch/web/api"
)

// A jsonOp is an operation as encoding/json reads it.
type jsonOp struct {
	Op, Key, Value, Encoding, Lease string
	TTL                             any
}

// The parser of batches must take nothing that encoding/json does not take, and
// read the same from what both take.
func FuzzBatchParse(f *testing.F) {
	for _, s := range []string{
		`{"ops":[]}`,
		`{"checks":[{"key":"a","rev":1},{"lock":"l","token":2},{"key":"b","value":"AA==","encoding":"base64"}],"ops":[{"op":"put","key":"k","value":"v","ttl":"3s"}],"else":[{"op":"get","key":"k"}]}`,
		"{\"ops\" : [ {\"value\":\"\\ud83d\\ude00\\u0000\\n\",\"op\":\"put\",\"key\":\"\\u00e9\",\"ttl\":7}\t,\r\n{\"op\":\"delete\",\"key\":\"z\"}]}",
		`{"ops":[{"op":"put","key":"a","value":"\ud800"}]}`,
		`{"ops":[{"op":"put","key":"a","value":"1","value":"2"}]}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, doc []byte) {
		var c kv.Command
		if err := api.ParseBatch(bytes.Clone(doc), 1024, &c); err != nil {
			return
		}
		var want struct {
			Checks    []map[string]any
			Ops, Else []jsonOp
		}
		if err := json.Unmarshal(doc, &want); err != nil {
			t.Fatalf("%q was taken, but %v", doc, err)
		}
		if len(want.Checks) != len(c.Checks) {
			t.Errorf("%q: %d checks, want %d", doc, len(c.Checks), len(want.Checks))
		}
		sameOps(t, c.Ops, want.Ops)
		sameOps(t, c.Else, want.Else)
	})
}

func sameOps(t *testing.T, got []kv.Op, want []jsonOp) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d operations, want %d", len(got), len(want))
	}
	for i, op := range got {
		value := []byte(want[i].Value)
		if want[i].Encoding != "" {
			var err error
			if value, err = base64.StdEncoding.DecodeString(want[i].Value); err != nil {
				t.Errorf("operation %d: %v", i, err)
			}
		}
		if op.Key != want[i].Key || !bytes.Equal(op.Value, value) {
			t.Errorf("operation %d: got %q %q, want %q %q", i, op.Key, op.Value, want[i].Key, value)
		}
	}
}

// What encoding/json writes for a batch must be read back as it was, or clients
// that use a common library are refused or misread.
func FuzzBatchRoundTrip(f *testing.F) {
	f.Add("key", "value", []byte{0xff}, uint64(3))
	f.Add("é\u2028\"\\", "\x00<>&\u007f\U0010ffff", []byte("text"), uint64(1<<64-1))
	f.Fuzz(func(t *testing.T, key, value string, raw []byte, rev uint64) {
		if !utf8.ValidString(key) || !utf8.ValidString(value) {
			t.Skip()
		}
		doc, err := json.Marshal(map[string]any{
			"checks": []any{map[string]any{"key": key, "rev": rev}, map[string]any{"key": key, "value": value}},
			"ops": []any{
				map[string]any{"op": "put", "key": key, "value": value, "ttl": "3s"},
				map[string]any{"op": "put", "key": key + "2", "value": raw, "encoding": "base64"},
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		if raw == nil {
			doc = bytes.Replace(doc, []byte("null"), []byte(`""`), 1)
		}
		var c kv.Command
		if err := api.ParseBatch(doc, 10, &c); err != nil {
			t.Fatalf("%s: %v", doc, err)
		}
		if c.Ops[0].Key != key || string(c.Ops[0].Value) != value || c.Ops[0].TTL != 3*time.Second || !bytes.Equal(c.Ops[1].Value, raw) {
			t.Errorf("%s: got %+v", doc, c.Ops)
		}
		if c.Checks[0].Key != key || c.Checks[0].N != rev || string(c.Checks[1].Value) != value {
			t.Errorf("%s: got %+v", doc, c.Checks)
		}
	})
}
