package web_test

import (
	"strings"
	"testing"
)

// A counter that answers something else than its sum, or that changes what is no number,
// counts wrong.
func TestAdd(t *testing.T) {
	w := newWorld(t)
	r := w.want(201, "POST", "/v1/add/n", "")
	if r.body != `{"value":"1","rev":1,"version":1,"created":true}` || r.header.Get("ETag") == "" {
		t.Errorf("first: got %s, ETag %q", r.body, r.header.Get("ETag"))
	}
	r = w.want(200, "POST", "/v1/add/n?by=-43", "", "Idempotency-Key", "k")
	if r.body != `{"value":"-42","rev":2,"version":2,"created":false}` {
		t.Errorf("second: got %s", r.body)
	}
	w.want(200, "POST", "/v1/add/n?by=100", "")
	r = w.want(200, "POST", "/v1/add/n?by=-43", "", "Idempotency-Key", "k")
	if r.field("value") != "-42" || r.header.Get("Idempotency-Replayed") != "true" {
		t.Errorf("repeated after another add: got %s", r.body)
	}
	w.refused(412, "compare_failed", "POST", "/v1/add/n", "", "If-None-Match", "*")
	w.refused(412, "compare_failed", "POST", "/v1/add/n", "", "If-Match", `"7f3a9c21-1"`)
	for query, code := range map[string]string{
		"by=": "bad_parameter", "by=1.5": "bad_parameter", "by=x": "bad_parameter", "by=%2B1": "bad_parameter",
		"by=9223372036854775808": "bad_parameter", "by=1&by=2": "bad_parameter", "ttl=1s": "bad_parameter",
	} {
		w.refused(400, code, "POST", "/v1/add/n?"+query, "")
	}
	w.refused(400, "bad_json", "POST", "/v1/add/n", "5")
	w.refused(405, "method_not_allowed", "PUT", "/v1/add/n", "5")
	w.refused(403, "reserved_key", "POST", "/v1/add/locks/n", "")
	w.refused(409, "number_overflow", "POST", "/v1/add/n?by=9223372036854775807", "")
	w.want(201, "PUT", "/v1/kv/text", "one")
	w.refused(409, "not_a_number", "POST", "/v1/add/text", "")
	r = w.refused(409, "not_a_number", "POST", "/v1/batch",
		`{"ops":[{"op":"put","key":"other","value":"x"},{"op":"add","key":"text"}]}`)
	if r.field("index") != 1.0 {
		t.Errorf("index: got %v, want 1", r.field("index"))
	}
	w.want(404, "GET", "/v1/kv/other", "")
	if got := w.want(200, "GET", "/v1/kv/text", "").body; got != "one" {
		t.Errorf("text: got %q", got)
	}
}

// A touch that lost the value, or the key's lease, would cost what it was to keep.
func TestTouch(t *testing.T) {
	w := newWorld(t)
	large := strings.Repeat("x", 5000)
	for key, value := range map[string]string{"small": "v", "large": large} {
		w.want(201, "PUT", "/v1/kv/"+key, value)
		w.want(200, "POST", "/v1/touch/"+key+"?ttl=1h", "")
		r := w.want(200, "GET", "/v1/kv/"+key, "")
		if r.body != value || r.header.Get("Keywatch-Version") != "2" || r.header.Get("Keywatch-TTL") == "" {
			t.Errorf("%s: got %d bytes, version %s, TTL %q", key, len(r.body), r.header.Get("Keywatch-Version"), r.header.Get("Keywatch-TTL"))
		}
		w.want(200, "POST", "/v1/touch/"+key+"?ttl=none", "")
		if ttl := w.want(200, "GET", "/v1/kv/"+key, "").header.Get("Keywatch-TTL"); ttl != "" {
			t.Errorf("%s: has a TTL of %s", key, ttl)
		}
	}
	w.refused(404, "key_not_found", "POST", "/v1/touch/none?ttl=1s", "")
	w.refused(400, "bad_parameter", "POST", "/v1/touch/small", "")
	for _, ttl := range []string{"", "keep", "0", "-1s", "soon", "11y"} {
		w.refused(400, "bad_duration", "POST", "/v1/touch/small?ttl="+ttl, "")
	}
	w.refused(412, "compare_failed", "POST", "/v1/touch/small?ttl=1s", "", "If-Match", `"7f3a9c21-1"`)
	r := w.want(200, "POST", "/v1/batch", `{"checks":[{"key":"small","not_value":"w"}],"ops":[
		{"op":"touch","key":"small","ttl":"1h"},{"op":"touch","key":"large","ttl":60},{"op":"touch","key":"none","ttl":"none"},{"op":"get","key":"large"}]}`)
	if !strings.Contains(r.body, `{"touched":true,"rev":`) || !strings.Contains(r.body, `{"touched":false}`) || !strings.Contains(r.body, large) {
		t.Errorf("batch: got %.300s", r.body)
	}
	w.refused(412, "check_failed", "POST", "/v1/batch", `{"checks":[{"key":"small","not_value":"v"}],"ops":[]}`)
	w.refused(400, "bad_duration", "POST", "/v1/batch", `{"ops":[{"op":"touch","key":"small","ttl":"keep"}]}`)
	w.refused(400, "bad_json", "POST", "/v1/batch", `{"ops":[{"op":"touch","key":"small"}]}`)
	w.refused(400, "bad_json", "POST", "/v1/batch", `{"ops":[{"op":"add","key":"small","by":"1"}]}`)
	w.refused(400, "bad_json", "POST", "/v1/batch", `{"ops":[{"op":"add","key":"small","by":1.5}]}`)
	w.refused(400, "bad_json", "POST", "/v1/batch", `{"ops":[{"op":"put","key":"small","value":"1","by":1}]}`)
	w.refused(400, "duplicate_key", "POST", "/v1/batch", `{"ops":[{"op":"add","key":"n"},{"op":"touch","key":"n","ttl":"1s"}]}`)
}
