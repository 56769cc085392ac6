package api_test

import (
	"testing"

	"keywatch/web/api"
)

// A cursor of another list would begin a page where the client does not expect it.
func TestParseCursor(t *testing.T) {
	if after, err := api.ParseCursor("MWEvYg", "a/"); after != "a/b" || err != nil {
		t.Errorf("got %q, %v", after, err)
	}
	for _, cursor := range []string{"", "MWEvYg==", "MmEvYg", "MQ", "?"} {
		if after, err := api.ParseCursor(cursor, "a/"); codeOf(err) != "bad_parameter" {
			t.Errorf("%q: got %q, %v", cursor, after, err)
		}
	}
	if _, err := api.ParseCursor("MWEvYg", "b/"); codeOf(err) != "bad_parameter" {
		t.Errorf("got %v for another prefix", err)
	}
}
