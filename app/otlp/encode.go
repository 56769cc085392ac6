package otlp

import (
	"log/slog"

	commonpb "go.opentelemetry.io/proto/slim/otlp/common/v1"
	resourcepb "go.opentelemetry.io/proto/slim/otlp/resource/v1"
	tracepb "go.opentelemetry.io/proto/slim/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"keywatch/kv/trace"
)

// Flags of a span: W3C's, and whether it is known that the parent is in another process.
const (
	flagSampled     = 0x001
	flagKnowsRemote = 0x100
	flagRemote      = 0x200
)

// encode returns spans as a request to a collector. TracesData has the same form on the wire as the
// request of the service, which would bring gRPC.
func encode(resource []slog.Attr, version string, spans []*trace.Span) ([]byte, error) {
	list := make([]*tracepb.Span, len(spans))
	for i, s := range spans {
		list[i] = encodeSpan(s)
	}
	return proto.Marshal(&tracepb.TracesData{ResourceSpans: []*tracepb.ResourceSpans{{
		Resource: &resourcepb.Resource{Attributes: encodeAttrs(resource)},
		ScopeSpans: []*tracepb.ScopeSpans{{
			Scope: &commonpb.InstrumentationScope{Name: "keywatch", Version: version},
			Spans: list,
		}},
	}}})
}

func encodeSpan(s *trace.Span) *tracepb.Span {
	p := &tracepb.Span{
		TraceId: s.Trace[:], SpanId: s.ID[:], Name: s.Name, Kind: tracepb.Span_SPAN_KIND_INTERNAL,
		StartTimeUnixNano: uint64(s.Began.UnixNano()),
		EndTimeUnixNano:   uint64(max(s.Began.UnixNano(), s.Ended.UnixNano())),
		Attributes:        encodeAttrs(s.Attrs), Flags: flagSampled | flagKnowsRemote,
	}
	if s.Request {
		p.Kind = tracepb.Span_SPAN_KIND_SERVER
	}
	if s.Parent != (trace.SpanID{}) {
		p.ParentSpanId = s.Parent[:]
	}
	if s.Remote {
		p.Flags |= flagRemote
	}
	if s.Failed {
		p.Status = &tracepb.Status{Code: tracepb.Status_STATUS_CODE_ERROR}
	}
	return p
}

func encodeAttrs(attrs []slog.Attr) []*commonpb.KeyValue {
	list := make([]*commonpb.KeyValue, len(attrs))
	for i, a := range attrs {
		list[i] = &commonpb.KeyValue{Key: a.Key, Value: encodeValue(a.Value)}
	}
	return list
}

// encodeValue returns a number as one, and anything else as text.
func encodeValue(v slog.Value) *commonpb.AnyValue {
	switch v.Kind() {
	case slog.KindInt64:
		return &commonpb.AnyValue{Value: &commonpb.AnyValue_IntValue{IntValue: v.Int64()}}
	case slog.KindUint64:
		return &commonpb.AnyValue{Value: &commonpb.AnyValue_IntValue{IntValue: int64(v.Uint64())}}
	}
	return &commonpb.AnyValue{Value: &commonpb.AnyValue_StringValue{StringValue: v.String()}}
}
