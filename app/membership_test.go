package app

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"strings"
	"testing"
	"time"

	"keywatch/cluster"
	"keywatch/cluster/peer"
)

// If servers that do not fit met without a word, one of an older release would end on what it cannot read, and one with
// a shorter timeout would depose leaders that are well.
func TestAcceptLooksAtWhatOthersSay(t *testing.T) {
	var logged bytes.Buffer
	m := &membership{config: &Config{Logger: slog.New(slog.NewTextHandler(&logged, nil)), Peers: PeerConfig{ElectionTimeout: time.Second}}}
	m.mu.roster.Level = cluster.Level
	for _, c := range []struct {
		about        cluster.About
		refused, log string
	}{
		{cluster.About{Name: "n2", Level: cluster.Level, Election: 1000}, "", ""},
		{cluster.About{Name: "n2"}, "", ""}, // a release that does not say
		{cluster.About{Name: "n2", Level: cluster.Level - 1, Election: 1000, Version: "v1"}, "later release", ""},
		{cluster.About{Name: "n2", Level: cluster.Level, Election: 500}, "", "--election-timeout"},
	} {
		logged.Reset()
		info, err := json.Marshal(c.about)
		if err != nil {
			t.Fatal(err)
		}
		err = m.accept(peer.Hello{ID: 9, Info: info})
		if (err != nil) != (c.refused != "") || err != nil && !strings.Contains(err.Error(), c.refused) {
			t.Errorf("%+v: got %v, want %q", c.about, err, c.refused)
		}
		if got := logged.String(); (got != "") != (c.log != "") || !strings.Contains(got, c.log) {
			t.Errorf("%+v: logged %q, want %q", c.about, got, c.log)
		}
	}
}
