package app_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	tracepb "go.opentelemetry.io/proto/slim/otlp/trace/v1"

	"keywatch/app"
)

// parts returns the spans of a name that are parts of another.
func (c *traceCollector) parts(of *tracepb.Span, name string) (list []*tracepb.Span) {
	for _, s := range c.spans {
		if s.Name == name && string(s.ParentSpanId) == string(of.SpanId) {
			list = append(list, s)
		}
	}
	return list
}

// An operator who asks why a get was slow must see that its value came from object storage, and who
// asks what a move does must see what it stores there.
func TestTraceOfObjectStorage(t *testing.T) {
	for _, over := range []string{"http", "resp"} {
		t.Run(over, func(t *testing.T) {
			s := startTraced(t, app.ServeConfig{Config: app.Config{ObjectStore: "dir://" + t.TempDir()}, Traces: app.TraceConfig{OTLPRatio: 1}})
			value, name := strings.Repeat("v", 2000), "GET /v1/kv/{key}"
			s.do("PUT", "/v1/kv/a", value).Body.Close()
			if r := s.do("POST", "/v1/admin/migrate", ""); r.StatusCode != 200 {
				t.Fatal(r.Status)
			}
			if over == "resp" {
				name = "resp get"
				s.ask("GET a\r\n", "$2000\r\n")
			} else {
				s.do("GET", "/v1/kv/a", "").Body.Close()
			}
			s.stop()
			c := &s.collector
			reads := c.parts(c.named(t, name), "keywatch.value.read")
			if len(reads) != 1 || attrOf(reads[0], "keywatch.tier") != "object" || attrOf(reads[0], "keywatch.value.bytes") != "2000" || reads[0].Status != nil {
				t.Fatalf("got %v in %s", reads, c.names())
			}
			if gets := c.parts(reads[0], "keywatch.object.get"); len(gets) == 0 || !strings.Contains(attrOf(gets[0], "keywatch.object.name"), "/") {
				t.Errorf("got %v", gets)
			}
			move := c.named(t, "keywatch.object.move")
			if len(move.ParentSpanId) != 0 || attrOf(move, "keywatch.object.values") != "1" || move.Kind != tracepb.Span_SPAN_KIND_INTERNAL {
				t.Errorf("got %v", move)
			}
			stored := false
			for _, put := range c.parts(move, "keywatch.object.put") {
				stored = stored || len(attrOf(put, "keywatch.object.bytes")) == 4 // the value and its record
			}
			if !stored {
				t.Errorf("no segment is seen stored: %s", c.names())
			}
		})
	}
}

// A value that cannot be read must be seen as what it is, without the name of its key.
func TestTraceOfALostSegment(t *testing.T) {
	dir := t.TempDir()
	s := startTraced(t, app.ServeConfig{Config: app.Config{ObjectStore: "dir://" + dir}})
	s.do("PUT", "/v1/kv/hidden", strings.Repeat("v", 2000)).Body.Close()
	s.do("POST", "/v1/admin/migrate", "").Body.Close()
	removeSegments(t, dir)
	s.do("GET", "/v1/kv/hidden", "", "Traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01").Body.Close()
	s.stop()
	c := &s.collector
	read := c.named(t, "keywatch.value.read")
	if read.Status.GetCode() != tracepb.Status_STATUS_CODE_ERROR || attrOf(read, "error.type") != "data_damaged" {
		t.Errorf("got %v", read)
	}
	for _, span := range c.spans {
		if strings.Contains(span.String(), "hidden") {
			t.Errorf("the name of a key is in %v", span)
		}
	}
}

// removeSegments removes all segments of a folder.
func removeSegments(t *testing.T, dir string) {
	t.Helper()
	segments, err := filepath.Glob(filepath.Join(dir, "*", "*", "*.seg"))
	must(t, err)
	if len(segments) == 0 {
		t.Fatalf("no segments in %s", dir)
	}
	for _, path := range segments {
		must(t, os.Remove(path))
	}
}
