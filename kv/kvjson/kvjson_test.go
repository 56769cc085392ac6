package kvjson_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"keywatch/kv"
	"keywatch/kv/kvjson"
	"keywatch/kv/kvtest"
)

// stored returns the entry of key after a put.
func stored(t *testing.T, key, value string, ttl time.Duration) *kv.Entry {
	t.Helper()
	log, err := kvtest.NewDirect(kv.NewState(kv.StateOptions{}), 1, kv.Params{})
	if err != nil {
		t.Fatal(err)
	}
	c := &kv.Command{Ops: []kv.Op{{Kind: kv.OpPut, Key: key, Value: []byte(value), TTL: ttl}}}
	r, err := log.Propose(context.Background(), c)
	if err != nil {
		t.Fatal(err)
	}
	return r.Ops[0].Entry
}

// An entry is written in one way; were it another, clients would misread it on
// one of the protocols.
func TestEntry(t *testing.T) {
	const numbers = `"rev":1,"create_rev":1,"version":1`
	for _, c := range []struct {
		value string
		ttl   time.Duration
		shown bool
		want  string
	}{
		{"21.5", 0, true, `"key":"a","value":"21.5",` + numbers},
		{"", 0, true, `"key":"a","value":"",` + numbers},
		{"\xff", 0, true, `"key":"a","value":"/w==","encoding":"base64",` + numbers},
		{"21.5", 30 * time.Second, false, `"key":"a",` + numbers + `,"ttl_ms":30000`},
	} {
		e := stored(t, "a", c.value, c.ttl)
		if got := string(kvjson.AppendEntry(nil, "a", e, e.Deadline()-c.ttl.Milliseconds(), c.shown)); got != c.want {
			t.Errorf("got %s, want %s", got, c.want)
		}
	}
}

// A large value is written from where it is; a copy would double what a read or
// an event costs.
func TestAppendAllocatesNothing(t *testing.T) {
	text, bytes := strings.Repeat("v", 1<<16), strings.Repeat("\xff", 1<<16)
	buf := make([]byte, 0, 1<<18)
	if n := testing.AllocsPerRun(10, func() {
		kvjson.AppendValue(kvjson.AppendValue(buf, text), bytes)
	}); n != 0 {
		t.Errorf("got %v allocations, want none", n)
	}
}
