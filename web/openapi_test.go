package web_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"

	"keywatch/web"
)

// A describer checks requests and answers against the server's own description.
type describer struct {
	*world
	doc    *openapi3.T
	router routers.Router
	seen   map[string]bool
}

func newDescriber(t *testing.T, w *world) *describer {
	t.Helper()
	doc, err := openapi3.NewLoader().LoadFromData([]byte(w.want(200, "GET", "/v1/openapi.yaml", "").body))
	if err != nil {
		t.Fatal(err)
	}
	if err := doc.Validate(context.Background()); err != nil {
		t.Fatal(err)
	}
	router, err := gorillamux.NewRouter(doc)
	if err != nil {
		t.Fatal(err)
	}
	openapi3filter.RegisterBodyDecoder("application/problem+json", openapi3filter.JSONBodyDecoder)
	for _, media := range []string{"text/event-stream", "application/x-ndjson"} {
		openapi3filter.RegisterBodyDecoder(media, openapi3filter.FileBodyDecoder)
	}
	return &describer{world: w, doc: doc, router: router, seen: make(map[string]bool)}
}

// check sends a request, which must be as described if valid is set, and must
// be answered with status and as described.
func (d *describer) check(valid bool, status int, method, path, body string, headers ...string) {
	d.t.Helper()
	r := d.want(status, method, path, body, headers...)
	req, err := http.NewRequest(method, d.base+path, strings.NewReader(body))
	if err != nil {
		d.t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Add(headers[i], headers[i+1])
	}
	if body != "" && req.Header.Get("Content-Type") == "" {
		req.Header.Set("Content-Type", "application/json")
	}
	route, params, err := d.router.FindRoute(req)
	if err != nil {
		d.t.Fatalf("%s %s: %v", method, path, err)
	}
	d.seen[route.Operation.OperationID] = true
	in := &openapi3filter.RequestValidationInput{
		Request: req, PathParams: params, Route: route,
		Options: &openapi3filter.Options{AuthenticationFunc: openapi3filter.NoopAuthenticationFunc},
	}
	if err := openapi3filter.ValidateRequest(context.Background(), in); valid && err != nil {
		d.t.Errorf("%s %s: request: %v", method, path, err)
	}
	out := &openapi3filter.ResponseValidationInput{
		RequestValidationInput: in, Status: r.status, Header: r.header,
		Body: io.NopCloser(bytes.NewReader([]byte(r.body))),
	}
	out.SetBodyBytes([]byte(r.body))
	if err := openapi3filter.ValidateResponse(context.Background(), out); err != nil {
		d.t.Errorf("%s %s: answer %d: %v", method, path, r.status, err)
	}
}

// If this fails, clients that are generated from the description, or people who
// read it, are told something else than what the server does.
func TestDescription(t *testing.T) {
	var changed atomic.Pointer[change]
	var refused error
	w := newWorld(t, func(o *web.Options) { o.Admin = workingAdmin(); clustered(o, &changed, &refused) })
	d := newDescriber(t, w)
	raw := []string{"Content-Type", "text/plain"}

	d.check(true, 201, "PUT", "/v1/kv/a", "1", raw...)
	d.check(true, 200, "PUT", "/v1/kv/a?ttl=1h", "2", raw...)
	d.check(true, 201, "PUT", "/v1/kv/b", "\xff", append(raw, "If-None-Match", "*", "Idempotency-Key", "k1")...)
	d.check(true, 201, "PUT", "/v1/kv/b", "\xff", append(raw, "If-None-Match", "*", "Idempotency-Key", "k1")...)
	d.check(true, 412, "PUT", "/v1/kv/b", "3", append(raw, "If-None-Match", "*")...)
	d.check(true, 412, "PUT", "/v1/kv/zz", "3", append(raw, "If-Match", `"7f3a9c21-9"`)...)
	d.check(true, 412, "PUT", "/v1/kv/b", "3", append(raw, "If-Fence", "deploy=3")...)
	d.check(true, 409, "PUT", "/v1/kv/b?lease=l-1", "3", raw...)
	d.check(true, 422, "PUT", "/v1/kv/b", "other", append(raw, "Idempotency-Key", "k1")...)
	d.check(false, 400, "PUT", "/v1/kv/b?ttl=soon", "3", raw...)
	d.check(false, 400, "PUT", "/v1/kv/b", "3", append(raw, "If-None-Match", "x")...)
	d.check(true, 415, "PUT", "/v1/kv/b", "3", append(raw, "Content-Encoding", "gzip")...)

	d.check(true, 200, "GET", "/v1/kv/a", "")
	d.check(true, 200, "GET", "/v1/kv/a", "", "Accept", "application/json")
	d.check(true, 200, "GET", "/v1/kv/b?consistency=local", "", "Accept", "application/json")
	d.check(true, 304, "GET", "/v1/kv/a?wait=1ms", "", "If-None-Match", `"7f3a9c21-2"`)
	d.check(true, 404, "GET", "/v1/kv/none", "")
	d.check(false, 406, "GET", "/v1/kv/a", "", "Accept", "image/png")
	d.check(true, 200, "HEAD", "/v1/kv/a", "")

	d.check(true, 200, "GET", "/v1/kv?prefix=&limit=1", "")
	d.check(true, 200, "GET", "/v1/kv?prefix=a&keys=1", "")
	d.check(true, 200, "GET", "/v1/kv?prefix=a", "", "Accept", "application/x-ndjson")
	d.check(false, 400, "GET", "/v1/kv?limit=0", "")

	d.check(true, 201, "POST", "/v1/cas/c", `{"expected":null,"new":"1","ttl":"10s"}`)
	d.check(true, 200, "POST", "/v1/cas/c", `{"expected":"1","new":"2"}`)
	d.check(true, 412, "POST", "/v1/cas/c", `{"expected":"1","new":"2"}`)
	d.check(true, 200, "POST", "/v1/cas/c", `{"expected":"2","new":null}`)
	d.check(false, 400, "POST", "/v1/cas/c", `{"expected":"2"}`)

	d.check(true, 200, "POST", "/v1/batch", `{"checks":[{"key":"a","exists":true},{"key":"q","rev":0}],"ops":[{"op":"put","key":"d","value":"AQ==","encoding":"base64","ttl":3},{"op":"get","key":"d"},{"op":"get","key":"none"},{"op":"delete","key":"b"}]}`)
	d.check(true, 412, "POST", "/v1/batch", `{"checks":[{"key":"a","exists":false}],"ops":[]}`)
	d.check(true, 412, "POST", "/v1/batch", `{"checks":[{"lock":"deploy","token":3}],"ops":[]}`)
	d.check(true, 200, "POST", "/v1/batch", `{"checks":[{"key":"a","version":77}],"ops":[],"else":[{"op":"get","key":"a"}]}`)
	d.check(false, 400, "POST", "/v1/batch", `{"ops":[{"op":"put","key":"x"}]}`)

	lease := d.want(201, "POST", "/v1/leases", `{"ttl":"1h"}`).field("id").(string)
	d.check(true, 201, "POST", "/v1/leases", `{"ttl":5}`, "Idempotency-Key", "k2")
	d.check(false, 400, "POST", "/v1/leases", `{"ttl":"soon"}`)
	d.check(true, 201, "PUT", "/v1/kv/leased?lease="+lease, "1", raw...)
	d.check(true, 200, "GET", "/v1/kv/leased", "", "Accept", "application/json")
	d.check(true, 200, "POST", "/v1/leases/"+lease+"/keepalive", "")
	d.check(true, 200, "GET", "/v1/leases/"+lease, "")
	d.check(true, 200, "HEAD", "/v1/leases/"+lease, "")
	d.check(true, 200, "DELETE", "/v1/leases/"+lease, "")
	d.check(true, 404, "GET", "/v1/leases/"+lease, "")
	d.check(true, 409, "POST", "/v1/batch", `{"ops":[{"op":"put","key":"d","value":"","lease":"`+lease+`"}]}`)

	d.check(true, 200, "POST", "/v1/locks/l", `{"ttl":"1h","owner":"me"}`)
	d.check(true, 409, "POST", "/v1/locks/l", `{"ttl":"1h","wait":"1ms"}`)
	d.check(true, 200, "GET", "/v1/locks/l", "")
	d.check(true, 200, "HEAD", "/v1/locks/l", "")
	token := fmt.Sprint(d.want(200, "GET", "/v1/kv/locks/l", "").header.Get("Keywatch-Create-Rev"))
	d.check(true, 200, "POST", "/v1/locks/l/keepalive", `{"token":`+token+`}`)
	d.check(true, 204, "DELETE", "/v1/locks/l?token="+token, "")
	d.check(true, 409, "DELETE", "/v1/locks/l?token="+token, "")
	d.check(true, 404, "GET", "/v1/locks/l", "")

	d.check(true, 200, "DELETE", "/v1/kv?prefix=d", "")
	d.check(true, 400, "DELETE", "/v1/kv?prefix=", "")
	d.check(true, 201, "POST", "/v1/add/n", "")
	d.check(true, 200, "POST", "/v1/add/n?by=-5", "")
	d.check(true, 409, "POST", "/v1/add/n?by=-9223372036854775808", "")
	d.check(true, 200, "POST", "/v1/touch/n?ttl=1h", "")
	d.check(true, 200, "POST", "/v1/touch/n?ttl=none", "")
	d.check(true, 404, "POST", "/v1/touch/none?ttl=1h", "")
	d.check(true, 200, "POST", "/v1/batch", `{"checks":[{"key":"n","not_value":"x"}],"ops":[{"op":"add","key":"n","by":2},{"op":"touch","key":"a","ttl":"none"},{"op":"touch","key":"none","ttl":60}]}`)

	d.check(true, 204, "DELETE", "/v1/kv/a", "")
	d.check(true, 404, "DELETE", "/v1/kv/a", "")

	d.check(false, 400, "GET", "/v1/watch", "")
	d.check(false, 400, "POST", "/v1/watch", `{"keys":[]}`)

	d.check(true, 400, "GET", "/v1/ws?key=a", "")
	d.handshake("/v1/ws?key=a&mode=latest&interval=1s")

	d.check(true, 200, "GET", "/healthz", "")
	d.check(true, 200, "GET", "/readyz", "")
	d.check(true, 200, "GET", "/v1/status", "")
	d.check(true, 200, "GET", "/metrics", "")
	d.check(true, 200, "GET", "/v1/openapi.yaml", "")
	d.check(true, 200, "GET", "/v1/cluster", "")
	d.check(true, 200, "POST", "/v1/cluster/promote", `{"node":"n3","now":true}`)
	d.check(true, 200, "POST", "/v1/cluster/remove", `{"node":"n3"}`)
	d.check(true, 200, "POST", "/v1/cluster/transfer", `{}`)
	d.check(true, 200, "POST", "/v1/admin/checkpoint", "")
	d.check(true, 200, "POST", "/v1/admin/compact", "")
	d.check(true, 200, "POST", "/v1/admin/migrate", "")
	d.check(true, 200, "GET", "/v1/admin/backup", "")
	d.check(true, 200, "GET", "/v1/admin/backup?objects=1", "")
	d.complete(func(op *openapi3.Operation) bool { return !isAccess(op) })
}

// isAccess reports whether an operation is about users, roles and credentials.
func isAccess(op *openapi3.Operation) bool { return slices.Contains(op.Tags, "access") }

// complete checks that none of the operations was left out.
func (d *describer) complete(of func(*openapi3.Operation) bool) {
	for path, item := range d.doc.Paths.Map() {
		for method, op := range item.Operations() {
			if of(op) && !d.seen[op.OperationID] {
				d.t.Errorf("%s %s is described, but was not tried", method, path)
			}
		}
	}
}

// The control: an answer that is not as described must be noticed, or
// TestDescription proves nothing.
func TestDescriptionNotices(t *testing.T) {
	w := newWorld(t)
	d := newDescriber(t, w)
	req, _ := http.NewRequest("GET", w.base+"/v1/kv?prefix=a", nil)
	route, params, err := d.router.FindRoute(req)
	if err != nil {
		t.Fatal(err)
	}
	for _, body := range []string{`{"entries":[]}`, `{"entries":[{"key":"a"}],"position":"p"}`, `{"entries":[],"position":"p","more":1}`} {
		out := &openapi3filter.ResponseValidationInput{
			RequestValidationInput: &openapi3filter.RequestValidationInput{Request: req, PathParams: params, Route: route},
			Status:                 200, Header: http.Header{"Content-Type": {"application/json"}},
		}
		out.SetBodyBytes([]byte(body))
		if err := openapi3filter.ValidateResponse(context.Background(), out); err == nil {
			t.Errorf("%s passed", body)
		}
	}
}
