package api_test

import (
	"testing"

	"keywatch/web/api"
)

// If this failed, a misspelt name would be answered with another wrong one, or with no help.
func TestDidYouMean(t *testing.T) {
	known := []string{"prefix", "limit", "cursor", "keys", "ttl"}
	for name, want := range map[string]string{
		"prefx": "prefix", "Prefix": "prefix", "perfix": "prefix", "limits": "limit", "key": "keys", "ttls": "ttl",
		"tt": "ttl", "cursors": "cursor",
		"LIMIT": "limit", "TTL": "ttl",
		"": "", "x": "", "unrelated": "", "prefixprefix": "", "li": "",
	} {
		if want == "" {
			want = "; expected one of prefix, limit, cursor, keys, ttl"
		} else {
			want = "; did you mean " + want + "?"
		}
		if got := api.DidYouMean(name, known); got != want {
			t.Errorf("%q: got %q, want %q", name, got, want)
		}
	}
	if got := api.DidYouMean("x", nil); got != "" {
		t.Errorf("without names: got %q", got)
	}
}
