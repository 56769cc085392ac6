package web_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"keywatch/test/gate"
)

// post opens a stream by POST.
func (w *world) post(path, body string, headers ...string) *tail {
	w.t.Helper()
	conn, err := w.connect()
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { conn.Close() })
	gate.Bound(w.t, conn)
	head := append([]string{"POST " + path + " HTTP/1.1", "Host: " + w.addr, fmt.Sprintf("Content-Length: %d", len(body))}, headers...)
	head[len(head)-1] += "\r\n\r\n" + body
	return askWith(w.t, conn, "POST", strings.Join(head, "\r\n"))
}

// lines returns the next n lines of NDJSON, with no spaces around.
func (s *tail) lines(n int) (all []string) {
	s.t.Helper()
	for range n {
		line, err := s.body.ReadString('\n')
		if err != nil {
			s.t.Fatalf("after %q: %v", all, err)
		}
		if !json.Valid([]byte(line)) {
			s.t.Fatalf("%q is no JSON", line)
		}
		all = append(all, strings.TrimSuffix(line, "\n"))
	}
	return all
}

const lineSynced = `{"type":"synced","pos":"7f3a9c21-%d"}`

func linePut(key, value string, rev, create, version int, pos string) string {
	if value != "" {
		value = fmt.Sprintf(`"value":%q,`, value)
	}
	return fmt.Sprintf(`{"type":"put","key":%q,%s"rev":%d,"create_rev":%d,"version":%d%s}`, key, value, rev, create, version, pos)
}

func linePos(rev int) string { return fmt.Sprintf(`,"pos":"7f3a9c21-%d"`, rev) }

// If a watch by POST were another than by GET, clients with more keys than fit
// into a URL would be told something else.
func TestPostIsGet(t *testing.T) {
	w := newWorld(t)
	for i, key := range []string{"a", "b/1", "b/2", "c"} {
		w.want(201, "PUT", "/v1/kv/"+key, fmt.Sprint(i))
	}
	w.want(200, "DELETE", "/v1/kv?prefix=b/2", "")
	const all = `"keys":["a","c"],"prefixes":["b/"]`
	reset, synced := `{"type":"reset","pos":"7f3a9c21-0"}`, fmt.Sprintf(lineSynced, 5)
	deleted := `{"type":"delete","key":"b/2","cause":"deleted","rev":5,"create_rev":3,"version":2,"pos":"7f3a9c21-5"}`
	a, c, b := linePut("a", "0", 1, 1, 1, ""), linePut("c", "3", 4, 4, 1, ""), linePut("b/1", "1", 2, 2, 1, "")
	for _, f := range []struct {
		name, query, body, header string
		want                      []string
	}{
		{"state", "key=a&key=c&prefix=b/", all, "", []string{reset, a, c, b, synced}},
		{"state asked for", "key=a&key=c&prefix=b/&state=1", all + `,"state":true`, "", []string{reset, a, c, b, synced}},
		{"live", "prefix=&state=0", `"prefixes":[""],"state":false`, "", []string{synced}},
		{"since", "key=a&key=c&prefix=b/&since=7f3a9c21-3", all + `,"since":"7f3a9c21-3"`, "",
			[]string{linePut("c", "3", 4, 4, 1, linePos(4)), deleted, synced}},
		{"no values", "prefix=b/&mode=keys", `"prefixes":["b/"],"mode":"keys"`, "", []string{reset, linePut("b/1", "", 2, 2, 1, ""), synced}},
		{"all", "prefix=b/&mode=all", `"prefixes":["b/"],"mode":"all"`, "", []string{reset, b, synced}},
		{"latest", "prefix=&mode=latest&since=7f3a9c21-3&interval=1h", `"prefixes":[""],"mode":"latest","since":"7f3a9c21-3","interval":"1h"`, "",
			[]string{linePut("c", "3", 4, 4, 1, ""), deleted, synced}},
		{"a header that wins", "prefix=b/&since=7f3a9c21-1", `"prefixes":["b/"],"since":"7f3a9c21-1"`, "Last-Event-ID: 7f3a9c21-4", []string{deleted, synced}},
		{"a position from nowhere", "key=a&since=nonsense", `"keys":["a"],"since":"nonsense"`, "", []string{reset, a, synced}},
		{"another epoch", "key=a&since=00000001-4", `"keys":["a"],"since":"00000001-4"`, "", []string{reset, a, synced}},
		{"the future", "key=a&since=7f3a9c21-99", `"keys":["a"],"since":"7f3a9c21-99"`, "", []string{reset, a, synced}},
		{"revision 0", "key=a&since=7f3a9c21-0", `"keys":["a"],"since":"7f3a9c21-0"`, "", []string{reset, a, synced}},
	} {
		t.Run(f.name, func(t *testing.T) {
			headers := []string{"Accept: application/x-ndjson"}
			if f.header != "" {
				headers = append(headers, f.header)
			}
			get, post := w.tail("/v1/watch?"+f.query, headers...), w.post("/v1/watch", "{"+f.body+"}", headers...)
			for _, s := range []*tail{get, post} {
				if got, want := strings.Join(s.lines(len(f.want)), "\n"), strings.Join(f.want, "\n"); got != want {
					t.Errorf("%s: got\n%s\nwant\n%s", s.resp.Request.Method, got, want)
				}
			}
		})
	}
	// Replacements of EventSource resume by a parameter, each by its own.
	for _, name := range []string{"last_event_id", "lastEventId", "lastEventID", "Last-Event-ID", "evs_buffer_size_limit=262144&evs_preamble=2056&evs_last_event_id"} {
		byPost := w.post("/v1/watch?"+name+"=7f3a9c21-4", `{"prefixes":["b/"]}`, "Accept: application/x-ndjson")
		byGet := w.tail("/v1/watch?prefix=b/&since=7f3a9c21-1&"+name+"=7f3a9c21-4", "Accept: application/x-ndjson")
		for _, s := range []*tail{byPost, byGet} {
			if got := s.lines(1)[0]; got != deleted {
				t.Errorf("got %s with %s, want %s", got, name, deleted)
			}
		}
	}
	w.refused(400, "bad_parameter", "GET", "/v1/watch?prefix=b/&last_event_id=7f3a9c21-4&lastEventId=7f3a9c21-3", "")
	w.refused(400, "bad_parameter", "GET", "/v1/watch?prefix=b/&evs_last_event_id=7f3a9c21-4&lastEventId=7f3a9c21-3", "")
	w.refused(400, "bad_parameter", "GET", "/v1/watch?prefix=b/&lasteventid=7f3a9c21-4", "")
	r := w.refused(400, "bad_parameter", "GET", "/v1/watch?prefix=b/&evs_other=1", "")
	if strings.Contains(r.body, "evs_preamble") {
		t.Errorf("got %s, want no list with what only one library sends", r.body)
	}
	w.refused(400, "bad_parameter", "GET", "/v1/kv?evs_preamble=1", "")
}

// If one of the forms of a stream had other fields, or split what belongs
// together, only some clients would work.
func TestFormsOfOneRevision(t *testing.T) {
	w := newWorld(t)
	const body = `{"prefixes":["a/"],"state":false,"named":false}`
	named, unnamed, byPost := w.tail("/v1/watch?prefix=a/&state=0"), w.tail("/v1/watch?prefix=a/&state=0&named=0"), w.post("/v1/watch", body, "Accept: */*")
	lines := w.tail("/v1/watch?prefix=a/&state=0", "Accept: application/x-ndjson")
	w.eventually("all watch", func() bool { return w.hub.Stats().Watchers == 4 })
	w.want(200, "POST", "/v1/batch", `{"ops":[{"op":"put","key":"a/1","value":"x"},{"op":"put","key":"b","value":"y"},{"op":"put","key":"a/2","value":"/w==","encoding":"base64"}]}`)
	one := `{"type":"put","key":"a/1","value":"x","rev":1,"create_rev":1,"version":1}`
	two := `{"type":"put","key":"a/2","value":"/w==","encoding":"base64","rev":1,"create_rev":1,"version":1}`
	for _, s := range []*tail{named, unnamed, byPost} {
		event := func(name string) string {
			if s == named {
				return "event: " + name + "\n"
			}
			return ""
		}
		s.wantRetry()
		s.want(event("synced")+"data: {\"type\":\"synced\"}\nid: 7f3a9c21-0\n", event("put")+"data: "+one+"\n", event("put")+"data: "+two+"\nid: 7f3a9c21-1\n")
	}
	want := []string{fmt.Sprintf(lineSynced, 0), one, strings.TrimSuffix(two, "}") + linePos(1) + "}"}
	if got := lines.lines(3); strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got %q, want %q", got, want)
	}
}

// If conflation lost the newest version, or counted wrongly, a dashboard that
// asks for at most so many changes a second would show what is no longer so.
func TestIntervalOnTheWire(t *testing.T) {
	w := newWorld(t)
	s := w.tail("/v1/watch?prefix=&state=0&mode=latest&interval=300ms", "Accept: application/x-ndjson")
	s.lines(1)
	const writes = 40
	for i := 1; i <= writes; i++ {
		w.do("PUT", fmt.Sprintf("/v1/kv/k%d", i%2), fmt.Sprint(i))
	}
	told, events, newest := 0, 0, map[string]string{}
	for told < writes {
		var m struct {
			Key, Value string
			Skipped    int
		}
		if err := json.Unmarshal([]byte(s.lines(1)[0]), &m); err != nil {
			t.Fatal(err)
		}
		told, events, newest[m.Key] = told+1+m.Skipped, events+1, m.Value
	}
	if told != writes || newest["k0"] != "40" || newest["k1"] != "39" {
		t.Errorf("%d were told or skipped of %d, and in the end %v", told, writes, newest)
	}
	t.Logf("%d events for %d writes", events, writes)
}
