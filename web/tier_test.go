package web_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"keywatch/kv"
	"keywatch/watch"
	"keywatch/web"
)

// A coldDisk has what a checkpoint wrote; fail, if set, is what reading it fails
// with.
type coldDisk struct {
	records map[kv.Locator][]byte
	fail    atomic.Pointer[error]
	reads   atomic.Int64
	// before, if set, is called before each read.
	before atomic.Pointer[func()]
}

func (d *coldDisk) ReadCold(_ context.Context, ref kv.ColdRef) (string, error) {
	d.reads.Add(1)
	if f := d.before.Load(); f != nil {
		(*f)()
	}
	if err := d.fail.Load(); err != nil {
		return "", *err
	}
	return ref.ParseValue(d.records[ref.At])
}

func (d *coldDisk) failWith(err error) { d.fail.Store(&err) }

// coldValue is what the keys of a cold world hold.
func coldValue(key string) string { return strings.Repeat(key, 80) }

// newColdWorld returns a server whose keys a, b and c have their values on disk,
// and a func that evicts them again.
func newColdWorld(t *testing.T, change ...func(*web.Options)) (w *world, d *coldDisk, evict func()) {
	d = &coldDisk{records: make(map[kv.Locator][]byte)}
	hub := watch.New(watch.Options{})
	t.Cleanup(hub.Close)
	state := kv.NewState(kv.StateOptions{Publisher: hub, Cold: d})
	hub.Bind(state)
	log := &directLog{state: state, start: time.Now(), life: t.Context()}
	var b kv.EntryBuilder
	b.AddSetup(kv.Setup{Epoch: epoch})
	for _, key := range []string{"a", "b", "c"} {
		b.Add(&kv.Command{Ops: []kv.Op{{Kind: kv.OpPut, Key: key, Value: []byte(coldValue(key))}}})
	}
	if _, err := log.apply(b.Finish(0)); err != nil {
		t.Fatal(err)
	}
	c, err := state.Freeze()
	if err != nil {
		t.Fatal(err)
	}
	for r := range c.Records() {
		d.records[r.Locator()] = r.AppendTo(nil)
	}
	c.Commit()
	evict = func() { state.Evict(1 << 20) }
	evict()
	cold := func(o *web.Options) { o.Store, o.Hub = kv.NewStore(state, log, kv.Limits{}), hub }
	w = newWorld(t, append(change, cold)...)
	return w, d, evict
}

// A client must be told where a value was before it was read, and that reading
// brought it into memory; whatever shows values must show those on disk.
func TestTierOfValues(t *testing.T) {
	w, _, evict := newColdWorld(t)
	for _, want := range []string{"disk", "memory"} {
		r := w.want(200, "GET", "/v1/kv/a", "")
		if got := r.header.Get("Keywatch-Tier"); got != want || r.body != coldValue("a") {
			t.Errorf("Keywatch-Tier: got %q, want %q; body %.20q", got, want, r.body)
		}
	}
	evict()
	shown := fmt.Sprintf(`"key":"a","value":%q`, coldValue("a"))
	for _, c := range []struct{ status, method, path, body string }{
		{"200", "GET", "/v1/kv/a", ""},
		{"200", "GET", "/v1/kv?prefix=", ""},
		{"412", "POST", "/v1/cas/a", `{"expected":"x","new":"y"}`},
		{"200", "POST", "/v1/batch", `{"ops":[{"op":"get","key":"a"}]}`},
		{"200", "POST", "/v1/batch", `{"ops":[{"op":"put","key":"z","value":"1"},{"op":"get","key":"a"}]}`},
	} {
		evict()
		status := 200
		if c.status == "412" {
			status = 412
		}
		r := w.want(status, c.method, c.path, c.body, "Accept", "application/json")
		if !strings.Contains(r.body, shown) || !strings.Contains(r.body, `"tier":"disk"`) {
			t.Errorf("%s %s: got %.300s", c.method, c.path, r.body)
		}
	}
	evict()
	r := w.want(200, "GET", "/v1/kv?prefix=", "", "Accept", "application/x-ndjson")
	if !strings.Contains(r.body, shown) || !strings.HasSuffix(r.body, "}\n") {
		t.Errorf("stream of the list: got %.300s", r.body)
	}
}

// A list of keys, a compare and a condition must not read the disk: they would
// be slow, and fail where it fails.
func TestKeysNeedNoValues(t *testing.T) {
	w, d, _ := newColdWorld(t)
	d.failWith(errors.New("no disk may be read"))
	r := w.want(200, "GET", "/v1/kv?keys=1", "")
	if !strings.Contains(r.body, `"key":"b"`) || !strings.Contains(r.body, `"tier":"disk"`) {
		t.Errorf("keys: got %s", r.body)
	}
	w.want(200, "POST", "/v1/cas/a", fmt.Sprintf(`{"expected":%q,"new":"y"}`, coldValue("a")))
	w.want(204, "DELETE", "/v1/kv/b", "", "If-Match", `"`+epoch.String()+`-2"`)
	if n := d.reads.Load(); n != 0 {
		t.Errorf("%d reads of the disk", n)
	}
}

// A value that cannot be had now is 503, one that is lost 500; what is in memory
// is served all the same, and a watch says goodbye instead of leaving it out.
func TestColdValueUnreachable(t *testing.T) {
	w, d, _ := newColdWorld(t)
	w.want(201, "PUT", "/v1/kv/hot", "warm")
	for _, c := range []struct {
		err    error
		status int
		code   string
	}{
		{fmt.Errorf("%w: gone fishing", kv.ErrTierUnavailable), 503, "tier_unavailable"},
		{fmt.Errorf("%w: a flipped bit", kv.ErrDamaged), 500, "data_damaged"},
	} {
		d.failWith(c.err)
		for _, path := range []string{"/v1/kv/a", "/v1/kv/a?consistency=local", "/v1/kv?prefix="} {
			r := w.refused(c.status, c.code, "GET", path, "")
			if c.status == 503 && r.header.Get("Retry-After") == "" {
				t.Errorf("%s: no Retry-After", path)
			}
		}
		if r := w.want(200, "GET", "/v1/kv/hot", ""); r.body != "warm" {
			t.Errorf("hot value: got %q", r.body)
		}
		r := w.want(200, "GET", "/v1/watch?prefix=", "", "Accept", "text/event-stream")
		if !strings.Contains(r.body, "event: bye\n") || !strings.Contains(r.body, c.code) || strings.Contains(r.body, "synced") {
			t.Errorf("watch: got %.400s", r.body)
		}
	}
}
