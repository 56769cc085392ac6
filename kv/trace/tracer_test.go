package trace_test

import (
	"testing"

	"keywatch/kv/trace"
)

const (
	sampledParent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	plainParent   = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"
)

// A traceparent that is read in another way than W3C has it would join requests to traces that they
// are no part of.
func TestParseParent(t *testing.T) {
	for text, sampled := range map[string]bool{
		sampledParent: true, plainParent: false,
		"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-03":      true,
		"cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-what": true,
		"cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01":      true,
	} {
		p, ok := trace.ParseParent([]byte(text))
		if !ok || p.Sampled != sampled || p.Trace[0] != 0x0a || p.Trace[15] != 0x9c || p.Span[0] != 0xb7 || p.Span[7] != 0x31 {
			t.Errorf("%s: got %+v, %v", text, p, ok)
		}
	}
	for _, text := range []string{
		"", "00", sampledParent[:54], sampledParent + "-what", sampledParent + "x", "cc" + sampledParent[2:] + "x",
		"ff" + sampledParent[2:],
		"00-00000000000000000000000000000000-b7ad6b7169203331-01",
		"00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
		"00-0AF7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
		"00-0af7651916cd43dd8448eb211c80319g-b7ad6b7169203331-01",
		"00_0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
		"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331_01",
	} {
		if p, ok := trace.ParseParent([]byte(text)); ok || p != (trace.Parent{}) {
			t.Errorf("%q: got %+v, want none", text, p)
		}
	}
}

// Who samples decides once, at the head: the caller if there is one, else the ratio.
func TestStart(t *testing.T) {
	var off *trace.Tracer
	if off.Start([]byte(sampledParent)) != nil {
		t.Error("no tracer has sampled a request")
	}
	never, always := trace.New(trace.Options{}), trace.New(trace.Options{Ratio: 1})
	s := never.Start([]byte(sampledParent))
	if s == nil || !s.Remote || !s.Request || s.Trace[0] != 0x0a || s.Parent[0] != 0xb7 || s.ID == s.Parent || s.ID == (trace.SpanID{}) {
		t.Fatalf("got %+v", s)
	}
	for _, parent := range []string{plainParent, "", "nonsense"} {
		if never.Start([]byte(parent)) != nil {
			t.Errorf("%q: was sampled although the ratio is 0", parent)
		}
	}
	if always.Start([]byte(plainParent)) != nil {
		t.Error("was sampled although its caller does not sample it")
	}
	a, b := always.Start(nil), always.Start([]byte("nonsense"))
	if a == nil || b == nil || a.Remote || a.Parent != (trace.SpanID{}) || a.Trace == b.Trace || a.Trace == (trace.ID{}) {
		t.Errorf("got %+v and %+v", a, b)
	}
	sampled := 0
	some := trace.New(trace.Options{Ratio: 0.25})
	for range 4000 {
		if some.Start(nil) != nil {
			sampled++
		}
	}
	if sampled < 700 || sampled > 1300 { // ten standard deviations
		t.Errorf("%d of 4000 were sampled at a ratio of 0.25", sampled)
	}
}

// Spans that no collector takes must not fill the memory, and it must be known how many were lost.
func TestSpansAreBounded(t *testing.T) {
	tr := trace.New(trace.Options{Ratio: 1, Kept: 3})
	s := tr.Start(nil)
	part := s.Add("a", s.Began, s.Began)
	part.Add("b", s.Began, s.Began)
	s.End()
	s.Add("late", s.Began, s.Began)
	if recorded, dropped := tr.Counts(); recorded != 3 || dropped != 1 {
		t.Errorf("recorded %d and dropped %d, want 3 and 1", recorded, dropped)
	}
	<-tr.Wake
	spans := tr.Take(2)
	if len(spans) != 2 || spans[0].Name != "a" || spans[0].Parent != s.ID || spans[1].Parent != part.ID || spans[1].Trace != s.Trace {
		t.Fatalf("got %+v", spans)
	}
	<-tr.Wake // there is one more
	if spans := tr.Take(2); len(spans) != 1 || spans[0] != s {
		t.Errorf("got %+v", spans)
	}
	if spans := tr.Take(2); len(spans) != 0 {
		t.Errorf("got %+v", spans)
	}
}

// What is done for a request must be a part of its trace, however deep, and nothing else may be; a
// request that does the same thing a thousand times must not push out all other traces.
func TestContextCarriesSpans(t *testing.T) {
	ctx := t.Context()
	if got := trace.With(ctx, nil); got != ctx || trace.From(ctx) != nil {
		t.Error("a context carries a span that nobody gave it")
	}
	if got, part := trace.Begin(ctx, "a"); got != ctx || part != nil {
		t.Errorf("began %+v for a request that is not sampled", part)
	}
	tracer := trace.New(trace.Options{Ratio: 1})
	s := tracer.Start(nil)
	outer, a := trace.Begin(trace.With(ctx, s), "a")
	_, b := trace.Begin(outer, "b")
	b.Fail("")
	b.End()
	a.Fail("too_bad")
	a.End()
	if a.Parent != s.ID || b.Parent != a.ID || b.Trace != s.Trace || a.Request || b.Failed || !a.Failed || a.Attrs[0].Value.String() != "too_bad" {
		t.Errorf("got %+v and %+v in %+v", a, b, s)
	}
	if spans := tracer.Take(9); len(spans) != 2 || spans[0] != b || spans[1] != a {
		t.Errorf("got %+v", spans)
	}
	for range 1000 {
		if _, part := trace.Begin(trace.With(ctx, s), "c"); part != nil {
			part.End()
		}
	}
	if n := len(tracer.Take(1000)); n != trace.MaxParts-1 {
		t.Errorf("a request has %d parts", n+1)
	}
}

// Work that no request asks for must be a trace of its own, for as many as the ratio says.
func TestWork(t *testing.T) {
	var off *trace.Tracer
	ctx := t.Context()
	if got, s := off.Work(ctx, "a"); got != ctx || s != nil {
		t.Errorf("no tracer has sampled %+v", s)
	}
	if _, s := trace.New(trace.Options{}).Work(ctx, "a"); s != nil {
		t.Errorf("was sampled although the ratio is 0: %+v", s)
	}
	inside, s := trace.New(trace.Options{Ratio: 1}).Work(ctx, "a")
	if s == nil || s.Request || s.Parent != (trace.SpanID{}) || s.Name != "a" || trace.From(inside) != s {
		t.Fatalf("got %+v", s)
	}
	if _, again := trace.New(trace.Options{Ratio: 1}).Work(inside, "b"); again != nil {
		t.Errorf("work within work began another trace: %+v", again)
	}
}
