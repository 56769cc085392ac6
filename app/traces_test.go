package app_test

import (
	"bufio"
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	commonpb "go.opentelemetry.io/proto/slim/otlp/common/v1"
	tracepb "go.opentelemetry.io/proto/slim/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"keywatch/app"
)

// A traceCollector keeps the spans that are sent to it.
type traceCollector struct {
	mu     sync.Mutex
	spans  []*tracepb.Span
	header http.Header
	about  []*commonpb.KeyValue
}

func (c *traceCollector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	var data tracepb.TracesData
	if err != nil || r.URL.Path != "/v1/traces" || proto.Unmarshal(body, &data) != nil {
		http.Error(w, "expected traces", http.StatusBadRequest)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.header = r.Header
	for _, one := range data.ResourceSpans {
		c.about = one.Resource.Attributes
		c.spans = append(c.spans, one.ScopeSpans[0].Spans...)
	}
}

// named returns the only span of a name.
func (c *traceCollector) named(t *testing.T, name string) *tracepb.Span {
	t.Helper()
	var found []*tracepb.Span
	for _, s := range c.spans {
		if s.Name == name {
			found = append(found, s)
		}
	}
	if len(found) != 1 {
		t.Fatalf("%d spans are named %q, want 1; all are %s", len(found), name, c.names())
	}
	return found[0]
}

func (c *traceCollector) names() (names []string) {
	for _, s := range c.spans {
		names = append(names, s.Name)
	}
	return names
}

func attrOf(s *tracepb.Span, key string) string {
	for _, a := range s.Attributes {
		if a.Key == key {
			if n := a.Value.GetIntValue(); n != 0 {
				return fmt.Sprint(n)
			}
			return a.Value.GetStringValue()
		}
	}
	return ""
}

// A traced is a server on disk whose traces go to a collector.
type traced struct {
	t         *testing.T
	collector traceCollector
	url, resp string
	stop      func()
}

func startTraced(t *testing.T, config app.ServeConfig) *traced {
	s := &traced{t: t}
	c := httptest.NewServer(&s.collector)
	t.Cleanup(c.Close)
	ctx, cancel := context.WithCancel(t.Context())
	config.Data, config.Listen, config.RESP = t.TempDir(), "127.0.0.1:0", "127.0.0.1:0"
	config.Traces.OTLPEndpoint = c.URL
	addr, done := make(chan string, 2), make(chan error, 1)
	config.RESPStarted = func(a net.Addr) { addr <- a.String() }
	go func() { done <- app.Serve(ctx, config, func(a net.Addr) { addr <- a.String() }) }()
	s.resp, s.url = <-addr, "http://"+<-addr
	s.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(s.stop)
	return s
}

func (s *traced) do(method, path, body string, headers ...string) *http.Response {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), method, s.url+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	return resp
}

// ask sends a command of Redis on a connection of its own, whose answer must begin as want.
func (s *traced) ask(text, want string) {
	s.t.Helper()
	conn, err := net.Dial("tcp", s.resp)
	if err != nil {
		s.t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, text); err != nil {
		s.t.Fatal(err)
	}
	if line, err := bufio.NewReader(conn).ReadString('\n'); err != nil || !strings.HasPrefix(line, want) {
		s.t.Fatalf("%q: got %q, %v", text, line, err)
	}
}

// An operator who asks why a put was slow must see it from the request to the fsync and to those who
// watch as one trace, which is a part of its caller's.
func TestTraceOfAPut(t *testing.T) {
	s := startTraced(t, app.ServeConfig{Traces: app.TraceConfig{OTLPKeys: true}})
	watching := s.do("GET", "/v1/watch?prefix=a/", "", "Accept", "application/x-ndjson")
	defer watching.Body.Close()
	events := bufio.NewScanner(watching.Body)
	events.Scan() // that it is open
	const id, parent = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
	s.do("PUT", "/v1/kv/a/1", "x", "Traceparent", "00-"+id+"-"+parent+"-01").Body.Close()
	for events.Scan() && !strings.Contains(events.Text(), `"put"`) {
	}
	// Of these nothing may be heard.
	s.do("PUT", "/v1/kv/a/2", "x", "Traceparent", "00-"+id+"-"+parent+"-00").Body.Close()
	s.do("PUT", "/v1/kv/a/3", "x").Body.Close()
	s.do("GET", "/healthz", "", "Traceparent", "00-"+id+"-"+parent+"-01").Body.Close()
	watching.Body.Close()
	s.stop()
	c := &s.collector
	put := c.named(t, "PUT /v1/kv/{key}")
	if hex.EncodeToString(put.ParentSpanId) != parent || put.Kind != tracepb.Span_SPAN_KIND_SERVER || put.Flags != 0x301 {
		t.Errorf("got %v, want a child of the caller's", put)
	}
	for key, want := range map[string]string{"http.request.method": "PUT", "http.route": "/v1/kv/{key}", "http.response.status_code": "201", "keywatch.key": "a/1", "keywatch.rev": "1"} {
		if got := attrOf(put, key); got != want {
			t.Errorf("%s is %q, want %q", key, got, want)
		}
	}
	queue, commit, write := c.named(t, "keywatch.queue"), c.named(t, "keywatch.commit"), c.named(t, "keywatch.log.write")
	fsync, apply, deliver := c.named(t, "keywatch.log.fsync"), c.named(t, "keywatch.apply"), c.named(t, "keywatch.watch.deliver")
	if len(c.spans) != 7 {
		t.Errorf("got the spans %s", c.names())
	}
	for _, part := range []struct{ of, is *tracepb.Span }{
		{put, queue}, {put, commit}, {commit, write}, {write, fsync}, {put, apply}, {put, deliver},
	} {
		if hex.EncodeToString(part.is.TraceId) != id || string(part.is.ParentSpanId) != string(part.of.SpanId) {
			t.Errorf("%s is no part of %s", part.is.Name, part.of.Name)
		}
		if part.is.StartTimeUnixNano < part.of.StartTimeUnixNano || part.is != deliver && part.is.EndTimeUnixNano > part.of.EndTimeUnixNano {
			t.Errorf("%s is not within %s", part.is.Name, part.of.Name)
		}
	}
	if queue.EndTimeUnixNano > commit.StartTimeUnixNano || commit.EndTimeUnixNano > apply.StartTimeUnixNano || fsync.EndTimeUnixNano <= fsync.StartTimeUnixNano {
		t.Errorf("the parts are not in order: %v, %v, %v, %v", queue, commit, fsync, apply)
	}
}

// Commands of WebSockets and of clients of Redis must be traced like requests; those that fail for
// the server's fault must be seen to.
func TestTraceOfCommands(t *testing.T) {
	s := startTraced(t, app.ServeConfig{Traces: app.TraceConfig{OTLPRatio: 1}})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	ws, _, err := websocket.Dial(ctx, s.url+"/v1/ws", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer ws.CloseNow()
	for _, text := range []string{`{"id":1,"op":"put","key":"a","value":"x"}`, `{"id":2,"op":"get","key":"b"}`} {
		if err := ws.Write(ctx, websocket.MessageText, []byte(text)); err != nil {
			t.Fatal(err)
		}
		if _, _, err := ws.Read(ctx); err != nil {
			t.Fatal(err)
		}
	}
	redis, err := net.Dial("tcp", s.resp)
	if err != nil {
		t.Fatal(err)
	}
	defer redis.Close()
	answers := bufio.NewReader(redis)
	for _, text := range []string{"SET b 1\r\n", "MULTI\r\n", "INCR b\r\n", "EXEC\r\n"} {
		io.WriteString(redis, text)
		if line, err := answers.ReadString('\n'); err != nil || line[0] == '-' {
			t.Fatalf("%q: got %q, %v", text, line, err)
		}
	}
	redis.Close()
	ws.CloseNow()
	s.stop()
	c := &s.collector
	for name, parts := range map[string]int{"ws put": 3, "ws get": 0, "GET /v1/ws": 0, "resp set": 3, "resp exec": 3} {
		whole, n := c.named(t, name), 0
		for _, part := range c.spans {
			if string(part.ParentSpanId) == string(whole.SpanId) {
				n++
			}
		}
		if n != parts || whole.Kind != tracepb.Span_SPAN_KIND_SERVER || len(whole.ParentSpanId) != 0 || whole.Status != nil {
			t.Errorf("%v has %d parts, want %d", whole, n, parts)
		}
	}
	if got := attrOf(c.named(t, "ws get"), "keywatch.code"); got != "key_not_found" {
		t.Errorf("got %q", got)
	}
}

// A setting of traces that cannot be used must be named before anything is opened.
func TestTraceSettings(t *testing.T) {
	for want, c := range map[string]app.TraceConfig{
		"otlp-ratio: ": {OTLPRatio: 1.5}, "otlp-endpoint: ": {OTLPEndpoint: "127.0.0.1:4318"}, "otlp-header: ": {OTLPHeader: []string{"x"}},
		"otlp-header: requires --otlp-endpoint": {OTLPHeader: []string{"x=y"}},
		"otlp-ratio: requires --otlp-endpoint":  {OTLPRatio: 0.5}, "otlp-keys: requires --otlp-endpoint": {OTLPKeys: true},
	} {
		config := app.ServeConfig{Config: app.Config{MemoryOnly: true}, Traces: c}
		if err := config.Validate(); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

// Commands that are traced must be refused like all others where their caller has not proved who it is.
func TestTracesLetNobodyIn(t *testing.T) {
	s := startTraced(t, app.ServeConfig{Config: app.Config{AuthConfig: app.AuthConfig{Auth: "on"}}, Traces: app.TraceConfig{OTLPRatio: 1}})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	ws, _, err := websocket.Dial(ctx, s.url+"/v1/ws", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer ws.CloseNow()
	if err := ws.Write(ctx, websocket.MessageText, []byte(`{"id":1,"op":"ping"}`)); err != nil {
		t.Fatal(err)
	}
	if _, text, err := ws.Read(ctx); err != nil || !strings.Contains(string(text), "unauthenticated") {
		t.Errorf("got %s, %v", text, err)
	}
}

// A server must take what the environment says to all programs that send traces, as they do, unless it is
// told otherwise itself.
func TestTraceEnvironment(t *testing.T) {
	t.Setenv("OTEL_EXPORTER_OTLP_HEADERS", "Authorization=Bearer%20a%2Cb, X-Tenant = team ,nothing")
	t.Setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment=test%20one,service.name=no,host.name=here")
	t.Setenv("OTEL_SERVICE_NAME", "kv")
	for name, own := range map[string][]string{"Bearer a,b": nil, "Basic x": {"Authorization=Basic x"}} {
		s := startTraced(t, app.ServeConfig{Traces: app.TraceConfig{OTLPRatio: 1, OTLPHeader: own}})
		s.do("PUT", "/v1/kv/a", "x").Body.Close()
		s.stop()
		if got := s.collector.header.Get("Authorization"); got != name {
			t.Errorf("Authorization is %q, want %q", got, name)
		}
		if got, want := s.collector.header.Get("X-Tenant"), map[bool]string{true: "team"}[own == nil]; got != want {
			t.Errorf("X-Tenant is %q, want %q", got, want)
		}
		said := make(map[string]string)
		for _, a := range s.collector.about {
			if _, twice := said[a.Key]; twice {
				t.Errorf("%s is said twice", a.Key)
			}
			said[a.Key] = a.Value.GetStringValue()
		}
		if said["service.name"] != "kv" || said["deployment.environment"] != "test one" || said["host.name"] != "here" {
			t.Errorf("got %v", said)
		}
	}
	t.Setenv("OTEL_EXPORTER_OTLP_HEADERS", "a b=secret")
	config := app.ServeConfig{Config: app.Config{MemoryOnly: true}, Traces: app.TraceConfig{OTLPEndpoint: "http://127.0.0.1:4318"}}
	if err := config.Validate(); err == nil || !strings.Contains(err.Error(), "OTEL_EXPORTER_OTLP_HEADERS") || strings.Contains(err.Error(), "secret") {
		t.Errorf("got %v", err)
	}
}
