package web_test

import (
	"bufio"
	"context"
	"net/http"

	"github.com/getkin/kin-openapi/openapi3filter"
)

// handshake asks for a WebSocket, which must be given and be as described.
func (d *describer) handshake(path string) {
	d.t.Helper()
	req, err := http.NewRequest("GET", d.base+path, nil)
	if err != nil {
		d.t.Fatal(err)
	}
	for name, value := range map[string]string{
		"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
		"Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==", "Sec-WebSocket-Protocol": "keywatch.v1.json",
	} {
		req.Header.Set(name, value)
	}
	conn, err := d.connect()
	if err != nil {
		d.t.Fatal(err)
	}
	defer conn.Close()
	if err := req.Write(conn); err != nil {
		d.t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), req)
	if err != nil || resp.StatusCode != 101 {
		d.t.Fatalf("GET %s: got %+v, %v, want 101", path, resp, err)
	}
	route, params, err := d.router.FindRoute(req)
	if err != nil {
		d.t.Fatalf("GET %s: %v", path, err)
	}
	in := &openapi3filter.RequestValidationInput{
		Request: req, PathParams: params, Route: route,
		Options: &openapi3filter.Options{AuthenticationFunc: openapi3filter.NoopAuthenticationFunc},
	}
	if err := openapi3filter.ValidateRequest(context.Background(), in); err != nil {
		d.t.Errorf("GET %s: request: %v", path, err)
	}
	out := &openapi3filter.ResponseValidationInput{RequestValidationInput: in, Status: 101, Header: resp.Header}
	out.SetBodyBytes(nil)
	if err := openapi3filter.ValidateResponse(context.Background(), out); err != nil {
		d.t.Errorf("GET %s: answer: %v", path, err)
	}
}
