package watch_test

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"keywatch/kv"
	"keywatch/watch"
)

// Without it what clients parse would change under them: this is the wire, byte
// for byte.
func TestWireForms(t *testing.T) {
	at := kv.Position{Epoch: 0x7f3a9c21, Rev: 1042}
	for _, c := range []struct {
		m                    watch.Message
		sse, unnamed, ndjson string
	}{
		{
			watch.Message{Kind: watch.Synced, At: at, HasAt: true},
			"event: synced\ndata: {\"type\":\"synced\"}\nid: 7f3a9c21-1042\n\n",
			"data: {\"type\":\"synced\"}\nid: 7f3a9c21-1042\n\n",
			"{\"type\":\"synced\",\"pos\":\"7f3a9c21-1042\"}\n",
		},
		{
			watch.Message{Kind: watch.Resync},
			"event: resync\ndata: {\"type\":\"resync\"}\n\n",
			"data: {\"type\":\"resync\"}\n\n",
			"{\"type\":\"resync\"}\n",
		},
		{
			watch.Message{Kind: watch.Bye, Code: "stopping", Retry: time.Second, Endpoints: []string{"http://b:1", "http://a:1"}},
			"retry: 1000\nevent: bye\ndata: {\"type\":\"bye\",\"code\":\"stopping\",\"retry_ms\":1000,\"endpoints\":[\"http://b:1\",\"http://a:1\"]}\n\n",
			"retry: 1000\ndata: {\"type\":\"bye\",\"code\":\"stopping\",\"retry_ms\":1000,\"endpoints\":[\"http://b:1\",\"http://a:1\"]}\n\n",
			"{\"type\":\"bye\",\"code\":\"stopping\",\"retry_ms\":1000,\"endpoints\":[\"http://b:1\",\"http://a:1\"]}\n",
		},
		{
			watch.Message{Kind: watch.Bye, Code: "stopping", Retry: 1370 * time.Millisecond},
			"retry: 1370\nevent: bye\ndata: {\"type\":\"bye\",\"code\":\"stopping\",\"retry_ms\":1370}\n\n",
			"retry: 1370\ndata: {\"type\":\"bye\",\"code\":\"stopping\",\"retry_ms\":1370}\n\n",
			"{\"type\":\"bye\",\"code\":\"stopping\",\"retry_ms\":1370}\n",
		},
	} {
		for form, want := range map[watch.Form]string{watch.SSE: c.sse, watch.SSEUnnamed: c.unnamed, watch.NDJSON: c.ndjson} {
			if got := string(form.Append(nil, &c.m)); got != want {
				t.Errorf("form %d: got %q, want %q", form, got, want)
			}
		}
	}
}

// Without it a change would be written in another way than the documentation
// shows.
func TestWireFormOfPut(t *testing.T) {
	w := newWorld(t, watch.Options{}, kv.Params{})
	r := w.watch(watch.Request{Keys: []string{"sensors/1"}, From: watch.FromLive})
	r.want(synced0)
	op := put("sensors/1", "21.5")
	op.TTL = 30 * time.Second
	w.do(batch(op))
	m := r.next()
	want := "event: put\n" +
		`data: {"type":"put","key":"sensors/1","value":"21.5","rev":1,"create_rev":1,"version":1,"ttl_ms":30000}` +
		"\nid: 7f3a9c21-1\n\n"
	for range 2 { // the second is the shared copy
		if got := string(watch.SSE.Append(nil, &m)); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
	if got := string(watch.AppendRetry(nil, 1370*time.Millisecond)); got != "retry: 1370\n" {
		t.Errorf("got %q", got)
	}
}

// checkValue fails unless a put of value is one line of JSON that means value,
// both from the ring and from the state.
func checkValue(t *testing.T, w *world, key, value string) {
	t.Helper()
	live := w.watch(watch.Request{Keys: []string{key}, From: watch.FromLive})
	defer live.watcher.Close()
	if m := live.next(); m.Kind != watch.Synced {
		t.Fatalf("got %v first", m.Kind)
	}
	w.put(key, value)
	state := w.watch(watch.Request{Keys: []string{key}})
	defer state.watcher.Close()
	state.next()
	for _, r := range []*reader{live, state} {
		m := r.next()
		line := string(watch.NDJSON.Append(nil, &m))
		var got struct{ Type, Key, Value, Encoding string }
		if err := json.Unmarshal([]byte(line), &got); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		if got.Encoding == "base64" {
			raw, err := base64.StdEncoding.DecodeString(got.Value)
			if err != nil {
				t.Fatal(err)
			}
			got.Value = string(raw)
		}
		if got.Type != "put" || got.Key != key || got.Value != value {
			t.Fatalf("got %+v from %q, want %q", got, line, value)
		}
		if strings.ContainsAny(strings.TrimSuffix(line, "\n"), "\n\r\u2028\u2029") {
			t.Fatalf("%q breaks the line", line)
		}
	}
}

// Without it a value could break out of its string or its line.
func FuzzValue(f *testing.F) {
	for _, s := range []string{
		"", "plain", "\"\\/\b\f\n\r\t\x00\x1f\x7f", "\u2028\u2029\u2027\u202a", "é€😀", "\xe2", "\xe2\x80", "\xe2\x80\xa8\xff",
		"\xff\xfe", "\ufeff", "</script>", "data: x\n\nevent: put", "a\u2028", "\u2029", strings.Repeat("\"", 5000),
	} {
		f.Add(s)
	}
	w := newWorld(f, watch.Options{}, kv.Params{})
	f.Fuzz(func(t *testing.T, value string) {
		w.t = t
		checkValue(t, w, "a/\"\\é\u2028", value)
	})
}

// Without it encoded events would pile up in memory beside the history, or an
// event old enough not to be shared any more would be written differently.
func TestOldEventsAreEncodedAlike(t *testing.T) {
	w := newWorld(t, watch.Options{History: 1 << 16}, kv.Params{})
	w.put("k", "old")
	since := w.state.Position().String()
	w.put("k", "first")
	request := watch.Request{Keys: []string{"k"}, From: watch.FromPosition, Since: since}
	shared := w.watch(request).next()
	want := string(watch.SSE.Append(nil, &shared))
	for range 150 {
		w.put("other", "x")
	}
	late := w.watch(request).next()
	for _, m := range []watch.Message{shared, late} {
		if got := string(watch.SSE.Append(nil, &m)); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
