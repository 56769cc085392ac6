package ws_test

import (
	"strings"
	"testing"
)

// If an operation answered something else, no client could rely on it.
func TestSocketOps(t *testing.T) {
	w := newWorld(t)
	c := w.socket("")
	const durable = `"durability":"memory; copies=1/1"`
	for _, step := range []struct{ say, want string }{
		{`{"id":1,"op":"ping"}`, `{"id":1,"ok":true,"position":"7f3a9c21-0"}`},
		{`{"id":2,"op":"put","key":"a","value":"1"}`,
			`{"id":2,"ok":true,"rev":1,"version":1,"created":true,"etag":"\"7f3a9c21-1\"","position":"7f3a9c21-1",` + durable + `}`},
		{`{"op":"get","key":"a","id":3}`,
			`{"id":3,"ok":true,"key":"a","value":"1","rev":1,"create_rev":1,"version":1,"tier":"memory","etag":"\"7f3a9c21-1\"","position":"7f3a9c21-1"}`},
		{`{"id":4,"op":"put","key":"a","value":"/w==","encoding":"base64","if_match":"\"7f3a9c21-1\""}`,
			`{"id":4,"ok":true,"rev":2,"version":2,"created":false,"etag":"\"7f3a9c21-2\"","position":"7f3a9c21-2",` + durable + `}`},
		{`{"id":5,"op":"get","key":"a","consistency":"local"}`,
			`{"id":5,"ok":true,"key":"a","value":"/w==","encoding":"base64","rev":2,"create_rev":1,"version":2,"tier":"memory","etag":"\"7f3a9c21-2\"","position":"7f3a9c21-2"}`},
		{`{"id":6,"op":"cas","key":"b","expected":null,"new":"x"}`,
			`{"id":6,"ok":true,"rev":3,"version":1,"created":true,"etag":"\"7f3a9c21-3\"","position":"7f3a9c21-3",` + durable + `}`},
		{`{"id":7,"op":"cas","key":"b","expected":"x","new":null}`,
			`{"id":7,"ok":true,"deleted":true,"rev":4,"position":"7f3a9c21-4",` + durable + `}`},
		{`{"id":8,"op":"delete","key":"a","if_match":"7f3a9c21-2"}`,
			`{"id":8,"ok":true,"deleted":true,"rev":5,"position":"7f3a9c21-5",` + durable + `}`},
		{`{"id":9,"op":"batch","checks":[{"key":"a","exists":false}],"ops":[{"op":"put","key":"p/1","value":"1"},{"op":"put","key":"p/2","value":"2"},{"op":"get","key":"p/1"}]}`,
			`{"id":9,"ok":true,"committed":true,"rev":6,"results":[{"rev":6,"version":1,"created":true},{"rev":6,"version":1,"created":true},{"found":true,"key":"p/1","value":"1","rev":6,"create_rev":6,"version":1,"tier":"memory"}],"position":"7f3a9c21-6",` + durable + `}`},
		{`{"id":10,"op":"batch","ops":[{"op":"get","key":"none"}]}`,
			`{"id":10,"ok":true,"committed":true,"results":[{"found":false}],"position":"7f3a9c21-6"}`},
		{`{"id":11,"op":"batch","checks":[{"key":"p/1","version":9}],"ops":[],"else":[{"op":"delete","key":"p/1"}]}`,
			`{"id":11,"ok":true,"committed":false,"failed":0,"rev":7,"results":[{"deleted":true}],"position":"7f3a9c21-7",` + durable + `}`},
		{`{"id":12,"op":"list","prefix":"p/"}`,
			`{"id":12,"ok":true,"entries":[{"key":"p/2","value":"2","rev":6,"create_rev":6,"version":1,"tier":"memory"}],"position":"7f3a9c21-7"}`},
		{`{"id":13,"op":"list","keys":true,"limit":1,"consistency":"local"}`,
			`{"id":13,"ok":true,"entries":[{"key":"p/2","rev":6,"create_rev":6,"version":1,"tier":"memory"}],"position":"7f3a9c21-7"}`},
		{`{"id":14,"op":"delete","prefix":"p/"}`,
			`{"id":14,"ok":true,"deleted":1,"rev":8,"position":"7f3a9c21-8",` + durable + `}`},
		{`{"id":15,"op":"put","key":"once","value":"1","idempotency_key":"k1"}`,
			`{"id":15,"ok":true,"rev":9,"version":1,"created":true,"etag":"\"7f3a9c21-9\"","position":"7f3a9c21-9",` + durable + `}`},
		{`{"idempotency_key":"k1","id":16,"op":"put","key":"once","value":"1"}`,
			`{"id":16,"ok":true,"rev":9,"version":1,"created":true,"etag":"\"7f3a9c21-9\"","position":"7f3a9c21-9",` + durable + `,"replayed":true}`},
		{`{"id":17,"op":"watch","keys":["w"],"state":false}`, `{"id":17,"ok":true}`},
	} {
		c.Say("%s", step.say)
		c.Want(step.want)
	}
	c.Want(`{"type":"synced","watch":17,"pos":"7f3a9c21-9"}`)
	c.Say(`{"id":18,"op":"unwatch","watch":17}`)
	c.Want(`{"id":18,"ok":true}`)
	w.eventually("the watch is closed", func() bool { return w.hub.Stats().Watchers == 0 })
}

// If an add or a touch answered something else, no client could rely on it.
func TestSocketSums(t *testing.T) {
	w := newWorld(t)
	c := w.socket("")
	const durable = `"durability":"memory; copies=1/1"`
	for _, step := range []struct{ say, want string }{
		{`{"id":1,"op":"add","key":"n","by":-3}`,
			`{"id":1,"ok":true,"value":"-3","rev":1,"version":1,"created":true,"etag":"\"7f3a9c21-1\"","position":"7f3a9c21-1",` + durable + `}`},
		{`{"id":2,"op":"add","key":"n","if_match":"7f3a9c21-1"}`,
			`{"id":2,"ok":true,"value":"-2","rev":2,"version":2,"created":false,"etag":"\"7f3a9c21-2\"","position":"7f3a9c21-2",` + durable + `}`},
		{`{"id":3,"op":"touch","key":"n","ttl":"none"}`,
			`{"id":3,"ok":true,"rev":3,"version":3,"created":false,"etag":"\"7f3a9c21-3\"","position":"7f3a9c21-3",` + durable + `}`},
	} {
		c.Say("%s", step.say)
		c.Want(step.want)
	}
}

// Without it bad input would be passed over, or change something.
func TestSocketRefuses(t *testing.T) {
	w := newWorld(t)
	w.write("a", "1")
	before := w.state.Position()
	c := w.socket("")
	for _, step := range []struct {
		code string
		id   int
		say  string
	}{
		{"bad_json", 0, ``},
		{"bad_json", 0, `[]`},
		{"bad_json", 0, `{`},
		{"bad_json", 0, `{"op":"ping"}`},
		{"bad_json", 0, `{"id":0,"op":"ping"}`},
		{"bad_json", 0, `{"id":-1,"op":"ping"}`},
		{"bad_json", 0, `{"id":1.5,"op":"ping"}`},
		{"bad_json", 0, `{"id":9007199254740992,"op":"ping"}`},
		{"bad_json", 0, `{"id":"1","op":"ping"}`},
		{"bad_json", 1, `{"id":1,"op":"ping"} {}`},
		{"bad_json", 1, `{"id":1,"op":"dance"}`},
		{"bad_json", 1, `{"id":1}`},
		{"bad_json", 1, `{"id":1,"op":"ping","op":"ping"}`},
		{"bad_json", 1, `{"id":1,"op":"ping","more":1}`},
		{"bad_json", 1, `{"id":1,"op":"put","key":"a\ud800","value":"1"}`},
		{"bad_json", 1, `{"id":1,"op":"put","key":"a"}`},
		{"bad_json", 1, `{"id":1,"op":"ping","key":"a"}`},
		{"bad_json", 1, `{"id":1,"op":"get","key":"a","value":"1"}`},
		{"bad_condition", 1, `{"id":1,"op":"get","key":"a","if_match":"*"}`},
		{"bad_condition", 1, `{"id":1,"op":"put","key":"a","value":"1","if_match":"nonsense"}`},
		{"bad_condition", 1, `{"id":1,"op":"put","key":"a","value":"1","if_absent":false}`},
		{"bad_condition", 1, `{"id":1,"op":"cas","key":"a","expected":"1","new":"2","if_match":"*"}`},
		{"bad_condition", 1, `{"id":1,"op":"put","key":"a","value":"1","fence":{"b ad":1}}`},
		{"bad_condition", 1, `{"id":1,"op":"put","key":"a","value":"1","fence":{"bad":0}}`},
		{"bad_json", 1, `{"id":1,"op":"put","key":"a","value":"1","fence":{"l":1,"l":2}}`},
		{"bad_json", 1, `{"id":1,"op":"put","key":"a","value":"1","fence":[]}`},
		{"fence_lost", 1, `{"id":1,"op":"put","key":"a","value":"1","fence":{"l":1}}`},
		{"compare_failed", 1, `{"id":1,"op":"put","key":"a","value":"2","if_absent":true}`},
		{"compare_failed", 1, `{"id":1,"op":"put","key":"a","value":"2","if_match":"7f3a9c21-9"}`},
		{"compare_failed", 1, `{"id":1,"op":"put","key":"a","value":"2","if_match":"00000001-1"}`},
		{"compare_failed", 1, `{"id":1,"op":"put","key":"none","value":"2","if_match":"*"}`},
		{"compare_failed", 1, `{"id":1,"op":"cas","key":"a","expected":null,"new":"2"}`},
		{"check_failed", 1, `{"id":1,"op":"batch","checks":[{"key":"a","rev":7}],"ops":[{"op":"delete","key":"a"}]}`},
		{"duplicate_key", 1, `{"id":1,"op":"batch","ops":[{"op":"delete","key":"a"},{"op":"delete","key":"a"}]}`},
		{"key_not_found", 1, `{"id":1,"op":"get","key":"none"}`},
		{"key_not_found", 1, `{"id":1,"op":"delete","key":"none"}`},
		{"bad_key", 1, `{"id":1,"op":"get","key":"/x"}`},
		{"bad_key", 1, `{"id":1,"op":"put","key":"","value":"1"}`},
		{"bad_key", 1, `{"id":1,"op":"list","prefix":"//"}`},
		{"reserved_key", 1, `{"id":1,"op":"put","key":"locks/a","value":"1"}`},
		{"reserved_key", 1, `{"id":1,"op":"delete","prefix":"locks/"}`},
		{"prefix_required", 1, `{"id":1,"op":"delete","prefix":""}`},
		{"bad_json", 1, `{"id":1,"op":"delete"}`},
		{"bad_value", 1, `{"id":1,"op":"put","key":"a","value":"!","encoding":"base64"}`},
		{"bad_value", 1, `{"id":1,"op":"put","key":"a","value":"!","encoding":"hex"}`},
		{"bad_duration", 1, `{"id":1,"op":"put","key":"a","value":"1","ttl":"soon"}`},
		{"bad_duration", 1, `{"id":1,"op":"put","key":"a","value":"1","ttl":0}`},
		{"bad_parameter", 1, `{"id":1,"op":"list","limit":0}`},
		{"bad_parameter", 1, `{"id":1,"op":"list","cursor":"x"}`},
		{"bad_parameter", 1, `{"id":1,"op":"get","key":"a","consistency":"some"}`},
		{"bad_parameter", 1, `{"id":1,"op":"watch"}`},
		{"bad_parameter", 1, `{"id":1,"op":"watch","keys":["a"],"mode":"fast"}`},
		{"bad_parameter", 1, `{"id":1,"op":"watch","keys":["a"],"since":"7f3a9c21-1","state":true}`},
		{"bad_parameter", 1, `{"id":1,"op":"watch","keys":["a"],"interval":"1s"}`},
		{"bad_key", 1, `{"id":1,"op":"watch","keys":["/"]}`},
		{"bad_json", 1, `{"id":1,"op":"watch","keys":true}`},
		{"bad_parameter", 1, `{"id":1,"op":"unwatch","watch":4}`},
		{"bad_parameter", 1, `{"id":1,"op":"put","key":"a","value":"1","idempotency_key":"a b"}`},
		{"value_too_large", 1, `{"id":1,"op":"put","key":"a","value":"` + strings.Repeat("x", 1<<20+1) + `"}`},
		{"batch_too_large", 1, `{"id":1,"op":"batch","ops":[` + strings.Repeat(`{"op":"get","key":"a"},`, 1024) + `{"op":"get","key":"a"}]}`},
	} {
		c.Refused(step.code, step.id, "%s", step.say)
	}
	if got := w.state.Position(); got != before {
		t.Errorf("position went from %v to %v", before, got)
	}
	if got := c.Ask(`{"id":2,"op":"ping"}`); got["ok"] != true {
		t.Errorf("got %v after all that, want an answer", got)
	}
}
