package app

import (
	"context"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"keywatch/app/otlp"
	"keywatch/kv/trace"
)

// A TraceConfig says which requests are traced, and to where. The zero value traces none.
type TraceConfig struct {
	OTLPEndpoint string   `name:"otlp-endpoint" help:"Collector of OpenTelemetry that sampled requests are sent to, by OTLP over HTTP in protobuf, such as http://127.0.0.1:4318. By default none are." placeholder:"URL" env:"OTEL_EXPORTER_OTLP_ENDPOINT" group:"Traces"`
	OTLPRatio    float64  `name:"otlp-ratio" help:"Part of the requests that is sampled, 0 to 1. A request with a traceparent is sampled if its caller samples it." default:"0" group:"Traces"`
	OTLPKeys     bool     `name:"otlp-keys" help:"Record the names of keys." group:"Traces"`
	OTLPHeader   []string `name:"otlp-header" help:"Header that is sent to the collector, such as one with a credential." placeholder:"NAME=VALUE" group:"Traces"`
}

func (c TraceConfig) validate() error {
	if c.OTLPRatio < 0 || c.OTLPRatio > 1 || c.OTLPRatio != c.OTLPRatio {
		return fmt.Errorf("otlp-ratio: expected 0 to 1, got %v", c.OTLPRatio)
	}
	if _, err := otlp.CheckHeaders(c.OTLPHeader); err != nil {
		return fmt.Errorf("otlp-header: %w", err)
	}
	if c.OTLPEndpoint == "" {
		return nil
	}
	if _, err := otlp.CheckEndpoint(c.OTLPEndpoint); err != nil {
		return fmt.Errorf("otlp-endpoint: %w", err)
	}
	return nil
}

// openTraces begins to export spans, and returns what records them; nil if none are recorded. What it
// returns as done sends those that are left.
func (c ServeConfig) openTraces(registry *prometheus.Registry) (t *trace.Tracer, done func(), err error) {
	if c.Traces.OTLPEndpoint == "" {
		return nil, func() {}, nil
	}
	t = trace.New(trace.Options{Ratio: c.Traces.OTLPRatio, Keys: c.Traces.OTLPKeys})
	x, err := otlp.Open(otlp.Options{
		Tracer: t, Endpoint: c.Traces.OTLPEndpoint, Headers: c.Traces.OTLPHeader,
		Resource: c.resource(), Version: c.Version, Logger: c.Logger.With("component", "otlp"),
	})
	if err != nil {
		return nil, nil, fmt.Errorf("otlp-endpoint: %w", err)
	}
	registry.MustRegister(x)
	return t, func() {
		ctx, cancel := context.WithTimeout(context.Background(), tracesGrace)
		defer cancel()
		x.Close(ctx)
	}, nil
}

// tracesGrace is how long the last spans may take once all else has ended.
const tracesGrace = time.Second

// resource says which server it is, as the environment of OpenTelemetry has it.
func (c ServeConfig) resource() []slog.Attr {
	name, host := os.Getenv("OTEL_SERVICE_NAME"), ""
	orDefault(&name, "keywatch")
	attrs := []slog.Attr{slog.String("service.name", name), slog.String("service.version", c.Version)}
	if host, _ = os.Hostname(); host != "" {
		attrs = append(attrs, slog.String("host.name", host))
	}
	if c.Peers.Name != "" {
		attrs = append(attrs, slog.String("service.instance.id", c.Peers.Name))
	}
	for one := range strings.SplitSeq(os.Getenv("OTEL_RESOURCE_ATTRIBUTES"), ",") {
		key, text, ok := strings.Cut(one, "=")
		value, err := url.PathUnescape(text)
		if key = strings.TrimSpace(key); ok && err == nil && key != "" && key != "service.name" {
			attrs = append(attrs, slog.String(key, value))
		}
	}
	return attrs
}
