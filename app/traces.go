package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"keywatch/app/otlp"
	"keywatch/kv/trace"
)

// A TraceConfig says which requests are traced, and to where. The zero value traces none.
type TraceConfig struct {
	OTLPEndpoint string   `name:"otlp-endpoint" help:"Collector of OpenTelemetry that sampled requests are sent to, by OTLP over HTTP in protobuf, such as http://127.0.0.1:4318. By default none are." placeholder:"URL" env:"OTEL_EXPORTER_OTLP_ENDPOINT" group:"Traces" secret:"url"`
	OTLPRatio    float64  `name:"otlp-ratio" help:"Part of the requests that is sampled, 0 to 1. A request with a traceparent is sampled if its caller samples it." default:"0" group:"Traces"`
	OTLPKeys     bool     `name:"otlp-keys" help:"Record the names of keys." group:"Traces"`
	OTLPHeader   []string `name:"otlp-header" help:"Header that is sent to the collector, such as one with a credential. By default those of OTEL_EXPORTER_OTLP_HEADERS." placeholder:"NAME=VALUE" group:"Traces" secret:"text"`
}

func (c TraceConfig) validate() error {
	if c.OTLPRatio < 0 || c.OTLPRatio > 1 || c.OTLPRatio != c.OTLPRatio {
		return fmt.Errorf("otlp-ratio: expected 0 to 1, got %v", c.OTLPRatio)
	}
	if _, err := otlp.CheckHeaders(c.OTLPHeader); err != nil {
		return fmt.Errorf("otlp-header: %w", err)
	}
	switch {
	case c.OTLPEndpoint != "":
	case len(c.OTLPHeader) > 0:
		return errors.New("otlp-header: requires --otlp-endpoint")
	case c.OTLPRatio > 0:
		return errors.New("otlp-ratio: requires --otlp-endpoint")
	case c.OTLPKeys:
		return errors.New("otlp-keys: requires --otlp-endpoint")
	default:
		return nil
	}
	if _, err := c.headers(); err != nil {
		return fmt.Errorf("otlp-header: %w", err)
	}
	if _, err := otlp.CheckEndpoint(c.OTLPEndpoint); err != nil {
		return fmt.Errorf("otlp-endpoint: %w", err)
	}
	return nil
}

// headers returns what is sent to the collector with each request: OTLPHeader or, where that is empty,
// what the environment of OpenTelemetry says.
func (c TraceConfig) headers() ([]string, error) {
	if len(c.OTLPHeader) > 0 {
		return c.OTLPHeader, nil
	}
	var list []string
	for _, one := range environmentList("OTEL_EXPORTER_OTLP_HEADERS") {
		list = append(list, one[0]+"="+one[1])
	}
	if _, err := otlp.CheckHeaders(list); err != nil {
		return nil, fmt.Errorf("OTEL_EXPORTER_OTLP_HEADERS: %w", err)
	}
	return list, nil
}

// environmentList returns the names and values of a variable of OpenTelemetry that has a list of them,
// as a header of W3C Baggage has: NAME=VALUE, with commas between, and values in percent-encoding. What
// has no such form is left out, as OpenTelemetry asks.
func environmentList(variable string) (list [][2]string) {
	for one := range strings.SplitSeq(os.Getenv(variable), ",") {
		name, text, ok := strings.Cut(one, "=")
		value, err := url.PathUnescape(strings.TrimSpace(text))
		if name = strings.TrimSpace(name); ok && err == nil && name != "" {
			list = append(list, [2]string{name, value})
		}
	}
	return list
}

// openTraces begins to export spans, and returns what records them; nil if none are recorded. What it
// returns as done sends those that are left.
func (c ServeConfig) openTraces(registry *prometheus.Registry) (t *trace.Tracer, done func(), err error) {
	if c.Traces.OTLPEndpoint == "" {
		return nil, func() {}, nil
	}
	headers, err := c.Traces.headers()
	if err != nil {
		return nil, nil, err
	}
	t = trace.New(trace.Options{Ratio: c.Traces.OTLPRatio, Keys: c.Traces.OTLPKeys})
	x, err := otlp.Open(otlp.Options{
		Tracer: t, Endpoint: c.Traces.OTLPEndpoint, Headers: headers,
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

// resource says which server it is. What the environment of OpenTelemetry says wins.
func (c ServeConfig) resource() (attrs []slog.Attr) {
	said := environmentList("OTEL_RESOURCE_ATTRIBUTES")
	if name := os.Getenv("OTEL_SERVICE_NAME"); name != "" {
		said = append(said, [2]string{"service.name", name})
	}
	host, _ := os.Hostname()
	list := append([][2]string{
		{"service.name", "keywatch"}, {"service.version", c.Version}, {"host.name", host}, {"service.instance.id", c.Peers.Name},
	}, said...)
	for i, one := range list {
		again := slices.ContainsFunc(list[i+1:], func(later [2]string) bool { return later[0] == one[0] })
		if one[1] != "" && !again {
			attrs = append(attrs, slog.String(one[0], one[1]))
		}
	}
	return attrs
}
