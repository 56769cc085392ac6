package otlp

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"

	"golang.org/x/net/http/httpguts"

	"keywatch/kv/trace"
)

// tracesPath is where a collector takes spans, below its endpoint.
const tracesPath = "/v1/traces"

// Options configure an Exporter. Tracer and Endpoint are required; the zero value of each other
// field is its default.
type Options struct {
	// Tracer is whose spans are sent.
	Tracer *trace.Tracer
	// Endpoint is the URL of a collector, such as http://127.0.0.1:4318; /v1/traces is added to it,
	// unless it ends so.
	Endpoint string
	// Headers are sent with each request, as NAME=VALUE.
	Headers []string
	// Resource says what sends the spans.
	Resource []slog.Attr
	// Version is that of the program.
	Version string
	// Transport carries the requests; http.DefaultTransport by default.
	Transport http.RoundTripper
	// Logger is told when spans cannot be sent; nothing is by default.
	Logger *slog.Logger
}

// CheckEndpoint returns the URL that spans are sent to, or what is wrong with an endpoint.
func CheckEndpoint(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return nil, errors.Unwrap(err)
	case u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		return nil, fmt.Errorf("expected an http or https URL, such as http://127.0.0.1:4318, got %q", u.Redacted())
	case u.RawQuery != "" || u.Fragment != "":
		return nil, fmt.Errorf("expected a URL without a query, got %q", u.Redacted())
	}
	if !strings.HasSuffix(u.Path, tracesPath) {
		u = u.JoinPath(tracesPath)
	}
	return u, nil
}

// CheckHeaders returns headers as requests have them. Its error shows no value.
func CheckHeaders(list []string) (http.Header, error) {
	h := make(http.Header)
	for _, one := range list {
		name, value, ok := strings.Cut(one, "=")
		if !ok || !httpguts.ValidHeaderFieldName(name) || !httpguts.ValidHeaderFieldValue(value) {
			return nil, errors.New("expected NAME=VALUE of a header")
		}
		h.Add(name, value)
	}
	return h, nil
}
