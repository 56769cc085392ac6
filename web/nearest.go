package web

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"keywatch/web/api"
)

// nouns are what paths are about, as the servers that people come from call it, and where it is
// here. One that ends in a slash goes before a name.
var nouns = map[string]string{
	"kv": prefixKey, "key": prefixKey, "keys": prefixKey, "values": prefixKey, "store": prefixKey,
	"cas": prefixCAS, "add": prefixAdd, "incr": prefixAdd, "touch": prefixTouch, "expire": prefixTouch, "batch": pathBatch, "txn": pathBatch, "transaction": pathBatch,
	"watch": pathWatch, "events": pathWatch, "stream": pathWatch, "subscribe": pathWatch, "sse": pathWatch,
	"ws": pathSocket, "websocket": pathSocket, "socket": pathSocket,
	"leases": prefixLease, "lease": prefixLease, "locks": prefixLock, "lock": prefixLock,
	"status": pathStatus, "stats": pathStatus, "info": pathStatus, "version": pathStatus,
	"healthz": "/healthz", "health": "/healthz", "livez": "/healthz", "live": "/healthz", "liveness": "/healthz", "ping": "/healthz",
	"readyz": "/readyz", "ready": "/readyz", "readiness": "/readyz",
	"metrics": "/metrics", "prometheus": "/metrics",
	"openapi.yaml": pathAPI, "openapi.json": pathAPI, "openapi": pathAPI, "swagger.json": pathAPI, "swagger": pathAPI, "docs": pathAPI,
	"checkpoint": "/v1/admin/checkpoint", "compact": "/v1/admin/compact", "migrate": "/v1/admin/migrate", "backup": "/v1/admin/backup",
	"dashboard": "/", "index.html": "/",
	"keywatch.js": "/keywatch.js", "keywatch.d.ts": "/keywatch.d.ts",
}

// nounList has the nouns in order, so that the same path always gets the same hint.
var nounList = slices.Sorted(maps.Keys(nouns))

// routeHint returns what the answer to a path without a route adds: the path that was probably
// meant, or where all are listed.
func routeHint(path []byte) string {
	if meant := nearestPath(string(path)); meant != "" && meant != string(path) {
		return fmt.Sprintf("; did you mean %.200q?", meant)
	}
	return "; see " + pathAPI
}

// nearestPath returns the path of a route that path resembles, "" if there is none.
func nearestPath(path string) string {
	// A proxy that was to remove what stands before.
	if i := strings.Index(path, "/v1/"); i > 0 {
		if r, _ := match([]byte(path[i:])); r != routeNone {
			return path[i:]
		}
	}
	segments := strings.FieldsFunc(path, func(c rune) bool { return c == '/' })
	for len(segments) > 1 && isVersion(segments[0]) {
		segments = segments[1:]
	}
	if len(segments) == 0 {
		return ""
	}
	place, ok := nouns[api.Nearest(segments[0], nounList)]
	rest := strings.Join(segments[1:], "/")
	switch {
	case !ok:
		return ""
	case rest == "" && place == prefixKey:
		return pathKeys
	case rest == "" && place == prefixLease:
		return pathLeases
	case place == pathWatch && rest != "":
		return pathWatch + "?key=" + rest
	case !strings.HasSuffix(place, "/") || place == "/":
		return place
	case rest == "":
		return place + "{name}"
	}
	return place + rest
}

// isVersion reports whether a segment stands before the noun in the paths of many servers.
func isVersion(segment string) bool {
	segment = strings.ToLower(segment)
	return segment == "api" || segment == "admin" || len(segment) == 2 && segment[0] == 'v' && segment[1] >= '0' && segment[1] <= '9'
}
