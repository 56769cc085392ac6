package web

import (
	"log/slog"
	"strconv"
	"strings"
	"time"
)

// routePaths are how the routes of a key or a name are written, as traces show them; other routes
// have a path of their own.
var routePaths = [routes]string{
	routeKey: "/v1/kv/{key}", routeCAS: "/v1/cas/{key}", routeAdd: "/v1/add/{key}", routeTouch: "/v1/touch/{key}",
	routeLease: "/v1/leases/{id}", routeLeaseKeep: "/v1/leases/{id}/keepalive",
	routeLock: "/v1/locks/{name}", routeLockKeep: "/v1/locks/{name}/keepalive",
	routeNone: "unknown", routePage: "page",
}

// untraced are routes that probes and scrapers ask for again and again.
func untraced(r route) bool { return r == routeHealth || r == routeReady || r == routeMetrics }

// startSpan begins to record the request if it is sampled. A traceparent that is repeated says
// nothing.
func (r *request) startSpan() {
	if untraced(r.route) {
		return
	}
	parent := r.head.get(fieldTraceparent)
	if r.head.twice(fieldTraceparent) {
		parent = nil
	}
	r.span = r.s.opts.Tracer.Start(parent)
	if r.span == nil {
		return
	}
	r.span.Began = r.span.Began.Add(r.came - time.Since(r.s.born))
	path := routePaths[r.route]
	if path == "" {
		path = string(r.path)
	}
	method := methodLabel(r.method)
	r.span.Name = method + " " + path
	r.span.Set(slog.String("http.request.method", method), slog.String("http.route", path))
}

// endSpan ends what is recorded of the request, with its answer.
func (r *request) endSpan() {
	status := r.f.Response.StatusCode()
	r.span.Set(slog.Int("http.response.status_code", status))
	if r.key != "" && r.span.Keys() {
		r.span.Set(slog.String("keywatch.key", strings.Clone(r.key)))
	}
	if status >= 500 {
		r.span.Set(slog.String("error.type", strconv.Itoa(status)))
		r.span.Failed = true
	}
	r.span.End()
}
