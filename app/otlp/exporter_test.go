package otlp_test

import (
	"bytes"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	tracepb "go.opentelemetry.io/proto/slim/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"keywatch/app/otlp"
	"keywatch/kv/trace"
)

// A collector answers requests with what it is told to, in order, and then with 200.
type collector struct {
	mu      sync.Mutex
	answers []*http.Response
	asked   []time.Time
	header  http.Header
	url     string
	spans   []*tracepb.Span
	about   *tracepb.ResourceSpans
}

func (c *collector) RoundTrip(r *http.Request) (*http.Response, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	c.asked = append(c.asked, time.Now())
	c.header, c.url = r.Header, r.URL.String()
	if len(c.answers) > 0 {
		a := c.answers[0]
		c.answers = c.answers[1:]
		if a == nil {
			return nil, io.ErrUnexpectedEOF
		}
		return a, nil
	}
	var data tracepb.TracesData
	if err := proto.Unmarshal(body, &data); err != nil {
		return nil, err
	}
	c.about = data.ResourceSpans[0]
	c.spans = append(c.spans, c.about.ScopeSpans[0].Spans...)
	return answer(200, ""), nil
}

func answer(status int, retryAfter string) *http.Response {
	h := make(http.Header)
	if retryAfter != "" {
		h.Set("Retry-After", retryAfter)
	}
	return &http.Response{StatusCode: status, Status: http.StatusText(status), Header: h, Body: io.NopCloser(strings.NewReader("x"))}
}

func open(t *testing.T, c *collector, tracer *trace.Tracer, log io.Writer) *otlp.Exporter {
	x, err := otlp.Open(otlp.Options{
		Tracer: tracer, Endpoint: "http://collector:4318/", Headers: []string{"X-Key=a=b"}, Version: "v1",
		Resource: []slog.Attr{slog.String("service.name", "keywatch")}, Transport: c,
		Logger: slog.New(slog.NewTextHandler(log, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	return x
}

func record(tracer *trace.Tracer, n int) {
	for range n {
		s := tracer.Start(nil)
		s.Name = "PUT /v1/kv/{key}"
		s.Set(slog.Int("n", 7), slog.String("s", "x"))
		s.End()
	}
}

// What a collector gets must be what was recorded, under the names and in the pieces that it expects.
func TestExport(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c collector
		tracer := trace.New(trace.Options{Ratio: 1})
		x := open(t, &c, tracer, io.Discard)
		record(tracer, 600)
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if c.url != "http://collector:4318/v1/traces" || c.header.Get("Content-Type") != "application/x-protobuf" || c.header.Get("X-Key") != "a=b" || c.header.Get("User-Agent") != "keywatch/v1" {
			t.Errorf("got %s with %v", c.url, c.header)
		}
		if len(c.spans) != 600 || len(c.asked) != 2 {
			t.Fatalf("got %d spans in %d requests, want 600 in 2", len(c.spans), len(c.asked))
		}
		s := c.spans[0]
		if s.Name != "PUT /v1/kv/{key}" || s.Kind != tracepb.Span_SPAN_KIND_SERVER || len(s.TraceId) != 16 || len(s.SpanId) != 8 || len(s.ParentSpanId) != 0 ||
			s.Flags != 0x101 || s.Status != nil || s.Attributes[0].Value.GetIntValue() != 7 || s.Attributes[1].Value.GetStringValue() != "x" {
			t.Errorf("got %v", s)
		}
		if a := c.about.Resource.Attributes[0]; a.Key != "service.name" || a.Value.GetStringValue() != "keywatch" || c.about.ScopeSpans[0].Scope.Version != "v1" {
			t.Errorf("got %v", c.about.Resource)
		}
		// What is left when it ends is sent at once.
		record(tracer, 1)
		x.Close(t.Context())
		x.Close(t.Context())
		if sent, lost := x.Counts(); len(c.spans) != 601 || sent != 601 || lost != 0 {
			t.Errorf("got %d spans, %d sent, %d lost", len(c.spans), sent, lost)
		}
	})
}

// A collector that is busy for a while must lose nothing, one that refuses must not be asked again,
// and one that is not there must not hold spans for ever.
func TestExportTriesAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &collector{answers: []*http.Response{nil, answer(503, "7"), answer(429, "")}}
		tracer, log := trace.New(trace.Options{Ratio: 1}), new(bytes.Buffer)
		x := open(t, c, tracer, log)
		began := time.Now()
		record(tracer, 1)
		time.Sleep(time.Minute)
		synctest.Wait()
		var at []time.Duration
		for _, a := range c.asked {
			at = append(at, a.Sub(began))
		}
		if len(at) != 4 || at[0] != time.Second || at[1] != 2*time.Second || at[2] != 9*time.Second || at[3] != 13*time.Second || len(c.spans) != 1 {
			t.Errorf("asked after %v, %d spans", at, len(c.spans))
		}
		c.answers = []*http.Response{answer(400, "")}
		record(tracer, 2)
		time.Sleep(time.Minute)
		synctest.Wait()
		if sent, lost := x.Counts(); sent != 1 || lost != 2 || len(c.asked) != 5 || strings.Count(log.String(), "spans were lost") != 1 {
			t.Errorf("%d sent, %d lost, %d requests, log %s", sent, lost, len(c.asked), log)
		}
		for range 100 {
			c.answers = append(c.answers, nil)
		}
		record(tracer, 3)
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if _, lost := x.Counts(); lost != 5 {
			t.Errorf("%d were lost, want 5", lost)
		}
		c.answers = nil
		record(tracer, 1)
		time.Sleep(5 * time.Second)
		x.Close(t.Context())
		if sent, _ := x.Counts(); sent != 2 {
			t.Errorf("%d were sent, want 2", sent)
		}
	})
}

// A setting that cannot be used must be said at the start, and a credential must not be shown.
func TestExportSettings(t *testing.T) {
	for _, bad := range []string{"", "127.0.0.1:4318", "ftp://x", "http://", "http://x?a=b", "http://x#y", "http://[x"} {
		if _, err := otlp.CheckEndpoint(bad); err == nil {
			t.Errorf("%q is accepted", bad)
		}
	}
	for text, want := range map[string]string{
		"http://x": "http://x/v1/traces", "https://x:1/": "https://x:1/v1/traces", "http://x/a/v1/traces": "http://x/a/v1/traces", "http://x/a": "http://x/a/v1/traces",
	} {
		if u, err := otlp.CheckEndpoint(text); err != nil || u.String() != want {
			t.Errorf("%q: got %v, %v", text, u, err)
		}
	}
	for _, bad := range []string{"secret", "=secret", "a b=secret", "a=secret\nb"} {
		if _, err := otlp.CheckHeaders([]string{bad}); err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: got %v", bad, err)
		}
	}
	if _, err := otlp.CheckEndpoint("ftp://me:secret@x"); err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("got %v", err)
	}
}
