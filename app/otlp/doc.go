// Package otlp sends the spans of a tracer to a collector of OpenTelemetry, by OTLP over HTTP in
// protobuf. The messages are those of go.opentelemetry.io/proto/slim/otlp; what OpenTelemetry's own
// SDK and exporter would do beyond that is not needed, and takes 6.4 MB of program more.
package otlp
