package web_test

import (
	"fmt"
	"strings"
	"testing"

	"keywatch/kv"
)

// A batch that is read half-way, or in two ways, would change what was not meant.
func TestBatchRefused(t *testing.T) {
	w := newWorld(t)
	put := func(rest string) string { return `{"ops":[{"op":"put","key":"a","value":"1"` + rest }
	for _, c := range []struct {
		code, body string
	}{
		{"bad_json", ``},
		{"bad_json", `null`},
		{"bad_json", `[]`},
		{"bad_json", `{}`},
		{"bad_json", `{"ops":null}`},
		{"bad_json", `{"ops":{}}`},
		{"bad_json", `{"ops":[null]}`},
		{"bad_json", `{"ops":[],}`},
		{"bad_json", `{,"ops":[]}`},
		{"bad_json", `{"ops":[,]}`},
		{"bad_json", `{"ops":[]`},
		{"bad_json", `{"ops":[]}{}`},
		{"bad_json", `{"ops":[]} x`},
		{"bad_json", "{\"ops\":[]}\x00"},
		{"bad_json", "\ufeff" + `{"ops":[]}`},
		{"bad_json", `{"ops":[],"ops":[]}`},
		{"bad_json", `{"ops":[],"\u006fps":[]}`},
		{"bad_json", `{"ops":[],"opts":[]}`},
		{"bad_json", `{"Ops":[]}`},
		{"bad_json", `{'ops':[]}`},
		{"bad_json", put(`}]`)},
		{"bad_json", put(`,"value":"2"}]}`)},
		{"bad_json", put(`,"ttl":null}]}`)},
		{"bad_json", put(`,"ttl":1.5}]}`)},
		{"bad_json", put(`,"ttl":-1}]}`)},
		{"bad_duration", put(`,"ttl":0}]}`)},
		{"bad_duration", put(`,"ttl":"soon"}]}`)},
		{"bad_json", put(`,"rev":3}]}`)},
		{"bad_json", `{"ops":[{"op":"put","key":"a"}]}`},
		{"bad_json", `{"ops":[{"op":"put","value":"a"}]}`},
		{"bad_json", `{"ops":[{"key":"a","value":"1"}]}`},
		{"bad_json", `{"ops":[{"op":"PUT","key":"a","value":"1"}]}`},
		{"bad_json", `{"ops":[{"op":"put","key":"a","value":1}]}`},
		{"bad_json", `{"ops":[{"op":"put","key":"a","value":null}]}`},
		{"bad_json", `{"ops":[{"op":"delete","key":"a","value":"1"}]}`},
		{"bad_json", `{"ops":[{"op":"get","key":"a","ttl":"1s"}]}`},
		{"bad_json", `{"ops":[{"op":"put","key":"a","value":"\ud800"}]}`},
		{"bad_json", `{"ops":[{"op":"put","key":"a","value":"\ud800\u0041"}]}`},
		{"bad_json", `{"ops":[{"op":"put","key":"a","value":"\udc00\ud800"}]}`},
		{"bad_json", `{"ops":[{"op":"put","key":"a","value":"\x"}]}`},
		{"bad_json", `{"ops":[{"op":"put","key":"a","value":"\u12"}]}`},
		{"bad_json", "{\"ops\":[{\"op\":\"put\",\"key\":\"a\",\"value\":\"\xff\"}]}"},
		{"bad_json", "{\"ops\":[{\"op\":\"put\",\"key\":\"a\",\"value\":\"\n\"}]}"},
		{"bad_value", put(`,"encoding":"base64"}]}`)},
		{"bad_value", put(`,"encoding":"hex"}]}`)},
		{"bad_value", `{"ops":[{"op":"put","key":"a","value":"MR==","encoding":"base64"}]}`},
		{"bad_value", `{"ops":[{"op":"put","key":"a","value":"MQ\n==","encoding":"base64"}]}`},
		{"bad_key", `{"ops":[{"op":"put","key":"","value":"1"}]}`},
		{"bad_key", `{"ops":[{"op":"get","key":"a//b"}]}`},
		{"bad_key", `{"ops":[{"op":"put","key":"a\u0000b","value":"1"}]}`},
		{"duplicate_key", `{"ops":[{"op":"put","key":"a","value":"1"},{"op":"delete","key":"a"}]}`},
		{"duplicate_key", `{"ops":[{"op":"put","key":"a","value":"1"},{"op":"delete","key":"\u0061"}]}`},
		{"bad_json", `{"ops":[],"checks":[{"key":"a"}]}`},
		{"bad_json", `{"ops":[],"checks":[{"rev":1}]}`},
		{"bad_json", `{"ops":[],"checks":[{"key":"a","rev":1,"version":1}]}`},
		{"bad_json", `{"ops":[],"checks":[{"key":"a","rev":-1}]}`},
		{"bad_json", `{"ops":[],"checks":[{"key":"a","rev":1.0}]}`},
		{"bad_json", `{"ops":[],"checks":[{"key":"a","rev":01}]}`},
		{"bad_json", `{"ops":[],"checks":[{"key":"a","rev":1e2}]}`},
		{"bad_json", `{"ops":[],"checks":[{"key":"a","rev":"1"}]}`},
		{"bad_json", `{"ops":[],"checks":[{"key":"a","rev":18446744073709551616}]}`},
		{"bad_json", `{"ops":[],"checks":[{"key":"a","exists":1}]}`},
		{"bad_json", `{"ops":[],"checks":[{"key":"a","exists":null}]}`},
		{"bad_json", `{"ops":[],"checks":[{"key":"a","exists":true,"encoding":"base64"}]}`},
		{"bad_json", `{"ops":[],"checks":[{"key":"a","lock":"l","token":1}]}`},
		{"bad_json", `{"ops":[],"checks":[{"lock":"l"}]}`},
		{"bad_condition", `{"ops":[],"checks":[{"lock":"l/m","token":1}]}`},
		{"bad_condition", `{"ops":[],"checks":[{"lock":"l","token":0}]}`},
		{"bad_value", `{"ops":[],"checks":[{"key":"a","value":"=","encoding":"base64"}]}`},
	} {
		w.refused(400, c.code, "POST", "/v1/batch", c.body)
	}
	w.refused(403, "reserved_key", "POST", "/v1/batch", `{"ops":[{"op":"put","key":"locks/x","value":"1"}]}`)
}

// The answers of a batch are what a client acts on: each operation's result, in
// order, gets seeing what came before.
func TestBatch(t *testing.T) {
	w := newWorld(t)
	w.want(201, "PUT", "/v1/kv/old", "1")
	for _, c := range []struct {
		status     int
		body, want string
	}{
		{200, ` {"ops" : [ {"op":"put","key":"é\u00e9","value":"\ud83d\ude00\u0041"},{"op":"get","key":"éé"},{"op":"delete","key":"old"},{"op":"delete","key":"none"},{"op":"get","key":"none"}]}` + "\n",
			`{"committed":true,"rev":2,"results":[{"rev":2,"version":1,"created":true},{"found":true,"key":"éé","value":"😀A","rev":2,"create_rev":2,"version":1,"tier":"memory"},{"deleted":true},{"deleted":false},{"found":false}]}`},
		{200, `{"ops":[{"op":"put","key":"bin","value":"/wA=","encoding":"base64"},{"op":"get","key":"bin"}]}`,
			`{"committed":true,"rev":3,"results":[{"rev":3,"version":1,"created":true},{"found":true,"key":"bin","value":"/wA=","encoding":"base64","rev":3,"create_rev":3,"version":1,"tier":"memory"}]}`},
		{200, `{"ops":[{"op":"get","key":"bin"}]}`,
			`{"committed":true,"results":[{"found":true,"key":"bin","value":"/wA=","encoding":"base64","rev":3,"create_rev":3,"version":1,"tier":"memory"}]}`},
		{200, `{"checks":[{"key":"bin","value":"/wA=","encoding":"base64"},{"key":"bin","create_rev":3},{"key":"bin","version":1},{"key":"old","exists":false}],"ops":[{"op":"delete","key":"bin"}]}`,
			`{"committed":true,"rev":4,"results":[{"deleted":true}]}`},
		{200, `{"checks":[{"key":"none","rev":0},{"key":"none","rev":7}],"ops":[],"else":[{"op":"put","key":"e","value":"x"}]}`,
			`{"committed":false,"failed":1,"rev":5,"results":[{"rev":5,"version":1,"created":true}]}`},
		{200, `{"checks":[{"key":"none","exists":true}],"ops":[],"else":[]}`, `{"committed":false,"failed":0,"results":[]}`},
		{200, `{"ops":[]}`, `{"committed":true,"results":[]}`},
		{412, `{"checks":[{"key":"none","exists":false},{"key":"e","rev":1}],"ops":[{"op":"put","key":"e","value":"y"}]}`,
			`{"type":"about:blank","title":"Precondition Failed","status":412,"code":"check_failed","detail":"a check failed; nothing was changed","index":1,"current":{"key":"e","value":"x","rev":5,"create_rev":5,"version":1,"tier":"memory"}}`},
	} {
		if got := w.want(c.status, "POST", "/v1/batch", c.body); got.body != c.want {
			t.Errorf("%s\ngot  %s\nwant %s", c.body, got.body, c.want)
		}
	}
	if at := w.state.Position(); at != (kv.Position{Epoch: epoch, Rev: 5}) {
		t.Errorf("position is %v", at)
	}
}

// BenchmarkBatch100 is a batch of 100 puts.
func BenchmarkBatch100(b *testing.B) {
	w := newBench(b)
	var ops []string
	for i := range 100 {
		ops = append(ops, fmt.Sprintf(`{"op":"put","key":"bench/key-%04d","value":"%s"}`, i, strings.Repeat("v", 32)))
	}
	w.run(b, "POST", "/v1/batch", `{"ops":[`+strings.Join(ops, ",")+`]}`, 200)
}
