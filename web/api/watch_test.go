package api_test

import (
	"testing"

	"keywatch/watch"
	"keywatch/web/api"
)

// If a request for a watch was read in another way, it would begin where its client
// does not expect it, and miss something.
func TestWatchDocument(t *testing.T) {
	for doc, want := range map[string]struct {
		from watch.From
		code api.Code
	}{
		`{"keys":["a"]}`:                                    {watch.FromState, ""},
		`{"prefixes":["a"],"state":false}`:                  {watch.FromLive, ""},
		`{"keys":["a"],"state":true}`:                       {watch.FromState, ""},
		`{"keys":["a"],"since":"7f3a9c21-1","state":false}`: {watch.FromPosition, ""},
		`{"keys":["a"],"since":"7f3a9c21-1","state":true}`:  {0, "bad_parameter"},
		`{"keys":["a"],"mode":"latest","interval":"1s"}`:    {watch.FromState, ""},
		`{"keys":["a"],"interval":"1s"}`:                    {0, "bad_parameter"},
		`{"keys":["a"],"mode":"latest","interval":"2h"}`:    {0, "bad_duration"},
		`{"keys":["a"],"mode":"some"}`:                      {0, "bad_parameter"},
		`{"keys":"a"}`:                                      {0, "bad_json"},
		`{"keys":["a"],"keys":["b"]}`:                       {0, "bad_json"},
		`{"keys":["a"],"named":false,"other":1}`:            {0, "bad_json"},
	} {
		w, err := api.ParseWatch([]byte(doc))
		if err == nil {
			err = w.Finish()
		}
		if got := codeOf(err); got != want.code || err == nil && w.Request.From != want.from {
			t.Errorf("%s: got %q from %v, want %+v", doc, got, w.Request.From, want)
		}
	}
}
