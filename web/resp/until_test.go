package resp_test

import (
	"context"
	"io"
	"strings"
	"testing"
	"time"

	"keywatch/auth"
	"keywatch/kv"
	"keywatch/kv/kvtest"
	"keywatch/web/resp"
)

// If this failed, clients of Redis of a server without authentication would be told everything, and could change
// everything, while the store has users.
func TestNothingIsToldOnceThereAreUsers(t *testing.T) {
	wrapper, err := auth.WrapperOf(auth.NewSealKey())
	if err != nil {
		t.Fatal(err)
	}
	table := auth.NewTable(auth.TableOptions{Wrapper: wrapper})
	t.Cleanup(table.Close)
	w := newWorld(t, func(o *resp.Options) { o.Door.OpenUntil(table) })
	w.store.State().FollowPrivate(table)
	var told []*client
	for _, k := range kinds {
		c := w.dial()
		for line := range strings.SplitSeq(k.lines, "; ") {
			if got := c.say(line); strings.HasPrefix(got, "-") {
				t.Fatalf("%s: %s: got %s", k.name, line, got)
			}
		}
		told = append(told, c)
	}
	plain := w.dial()
	plain.want("SET a/1 v", "+OK")
	if made, err := auth.NewRegistry(table, w.store, nil).Bootstrap(t.Context(), auth.NewSecret(auth.Key), time.Hour); err != nil || !made {
		t.Fatalf("bootstrap: %v, %v", made, err)
	}
	before := w.store.State().Applied()
	for _, line := range []string{"GET a/1", "SET a/2 v", "KW.LOCK l 1000", "INFO", "CLIENT LIST"} {
		c := w.dial()
		c.want(line, "-LOADING starting")
	}
	if _, err := w.store.Do(context.Background(), &kv.Command{Ops: []kv.Op{kvtest.Put("a/secret", "v")}}); err != nil {
		t.Fatal(err)
	}
	if e, _ := w.store.State().Get("a/2"); e != nil || before == 0 {
		t.Error("a key was written")
	}
	w.server.Recheck()
	for i, c := range append(told, plain) {
		_ = c.conn.SetReadDeadline(time.Now().Add(patience))
		b, err := io.ReadAll(c.r)
		if err != nil || strings.Contains(string(b), "secret") || !strings.HasSuffix(string(b), "-LOADING starting\r\n") {
			t.Errorf("connection %d: got %q, %v, want it to end with -LOADING", i, b, err)
		}
	}
}
