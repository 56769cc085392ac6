package api_test

import (
	"testing"

	"keywatch/kv"
	"keywatch/web/api"
)

// If a document was read in another way, or one that makes no sense was accepted,
// a write would not be what its author meant.
func TestCASDocument(t *testing.T) {
	for doc, want := range map[string]api.Code{
		`{"expected":null,"new":"x"}`: "", `{"expected":"","new":null}`: "", `{"expected":"x","new":"y","ttl":"3s"}`: "",
		`{"expected":"eA==","new":"eQ==","encoding":"base64"}`: "",
		`{"expected":"x"}`: "bad_json", `{"new":"x"}`: "bad_json", `{"expected":"x","new":null,"ttl":"3s"}`: "bad_json",
		`{"expected":"x","new":null,"lease":"l-1"}`: "bad_json", `{"expected":"?","new":"x","encoding":"base64"}`: "bad_value",
		`{"expected":"x","new":"y","lease":"none"}`: "lease_ended", `{"expected":"x","new":"y","ttl":"0"}`: "bad_duration",
	} {
		var c kv.Command
		d, err := api.ParseCAS([]byte(doc))
		if err == nil {
			err = d.Command(&c, "k")
		}
		if got := codeOf(err); got != want {
			t.Errorf("%s: got %q, want %q", doc, got, want)
		}
		if err == nil && (len(c.Checks) != 1 || len(c.Ops) != 1 || c.Ops[0].Key != "k" || c.Checks[0].Key != "k") {
			t.Errorf("%s: got %+v", doc, c)
		}
	}
}
