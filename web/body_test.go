package web_test

import (
	"strings"
	"testing"

	"keywatch/kv"
)

// If this failed, a client that asks first would send a body in vain.
func TestExpectedBodyIsRefusedAtOnce(t *testing.T) {
	w := newWorldWith(t, kv.Params{}, kv.Limits{Value: 1000, Command: 5000})
	for _, c := range []struct{ request, length, status, want string }{
		{"PUT /v1/kv/a", "5001", "413", `"code":"body_too_large"`},
		{"POST /v1/batch", "5001", "413", `"code":"body_too_large"`},
		{"PUT /v1/kv/a", "1001", "413", `"code":"value_too_large"`},
		{"POST /v1/batch", "1001", "100", ""},
		{"PUT /v1/kv/a", "1000", "100", ""},
	} {
		conn := w.open()
		_, err := conn.Write([]byte(c.request + " HTTP/1.1\r\nHost: localhost\r\nExpect: 100-Continue\r\nContent-Length: " + c.length + "\r\n\r\n"))
		if err != nil {
			t.Fatal(err)
		}
		b := make([]byte, 2000)
		n, err := conn.Read(b)
		if got := string(b[:n]); !strings.HasPrefix(got, "HTTP/1.1 "+c.status) || !strings.Contains(got, c.want) || err != nil {
			t.Errorf("%s of %s bytes: got %q, %v, want %s %s", c.request, c.length, got, err, c.status, c.want)
		}
	}
	// A value that was sent anyway is refused by the same code, and the connection is kept.
	w.refused(413, "value_too_large", "PUT", "/v1/kv/a", strings.Repeat("x", 1001))
}
