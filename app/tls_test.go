package app_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"keywatch/app"
	"keywatch/app/certs/certstest"
	"keywatch/test/gate"
)

// A secureServer is a server over TLS whose files have certificates of an authority.
type secureServer struct {
	t         *testing.T
	authority *certstest.Pair
	dir, url  string
	config    app.ServeConfig
	updates   chan app.ServeConfig
}

// serveTLS runs a server with a certificate for its address until the test ends.
func serveTLS(t *testing.T, change ...func(*app.ServeConfig)) *secureServer {
	t.Helper()
	s := &secureServer{t: t, authority: certstest.Authority(t), dir: t.TempDir(), updates: make(chan app.ServeConfig)}
	s.config = app.ServeConfig{Config: app.Config{MemoryOnly: true}, Listen: "127.0.0.1:0", Updates: s.updates}
	s.config.TLS.TLSCert, s.config.TLS.TLSKey = s.renew().Write(t, s.dir, "kv")
	if err := os.WriteFile(filepath.Join(s.dir, "ca.pem"), s.authority.Cert, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range change {
		c(&s.config)
	}
	ctx, stop := context.WithCancel(t.Context())
	done, ready := make(chan error, 1), make(chan net.Addr, 1)
	go func() { done <- app.Serve(ctx, s.config, func(a net.Addr) { ready <- a }) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	select {
	case addr := <-ready:
		s.url = "https://" + addr.String()
	case err := <-done:
		done <- nil
		t.Fatalf("serve: %v", err)
	}
	return s
}

// renew returns another certificate for the server.
func (s *secureServer) renew() *certstest.Pair {
	return certstest.Sign(s.t, s.authority, "127.0.0.1", time.Now().Add(24*time.Hour))
}

// client returns a client with connections of its own.
func (s *secureServer) client(config *tls.Config) *http.Client {
	transport := &http.Transport{TLSClientConfig: config}
	s.t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// get returns the status, the body and the server's certificate of a request on a new connection.
func (s *secureServer) get(path string) (status int, body string, cert []byte) {
	s.t.Helper()
	resp, err := s.client(certstest.Trusting(s.t, s.authority)).Get(s.url + path)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return resp.StatusCode, string(b), resp.TLS.PeerCertificates[0].Raw
}

// If this failed, a server with a certificate would not serve over TLS, or in clear text beside it.
func TestServeOverTLS(t *testing.T) {
	s := serveTLS(t)
	if status, body, _ := s.get("/readyz"); status != 200 {
		t.Errorf("got %d %s, want 200", status, body)
	}
	_, metrics, _ := s.get("/metrics")
	for _, name := range []string{"keywatch_tls_certificate_expiry_seconds 8", "keywatch_tls_reload_failed 0", `keywatch_tls_handshakes_total{result="ok"}`} {
		if !strings.Contains(metrics, name) {
			t.Errorf("/metrics does not have %s", name)
		}
	}
	if _, err := s.client(nil).Get(s.url + "/readyz"); err == nil {
		t.Error("a client that does not know the authority has accepted the server")
	}
	resp, err := http.Get(strings.Replace(s.url, "https", "http", 1) + "/readyz")
	if err == nil {
		resp.Body.Close()
		if resp.StatusCode != 400 {
			t.Errorf("in clear text: got %d, want a refusal", resp.StatusCode)
		}
	}
}

// If this failed, SIGHUP would not have a new certificate served, or a broken one would be.
func TestCertificateIsReadAgain(t *testing.T) {
	s := serveTLS(t)
	next := s.renew()
	next.Write(t, s.dir, "kv")
	if _, _, cert := s.get("/readyz"); bytes.Equal(cert, next.Leaf.Raw) {
		t.Error("the new certificate was served before it was read")
	}
	s.updates <- s.config
	s.updates <- s.config // once it is received the first is in force
	if _, _, cert := s.get("/readyz"); !bytes.Equal(cert, next.Leaf.Raw) {
		t.Error("the new certificate is not served")
	}
	if err := os.WriteFile(s.config.TLS.TLSKey, []byte("broken"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.updates <- s.config
	s.updates <- s.config
	_, metrics, cert := s.get("/metrics")
	if !bytes.Equal(cert, next.Leaf.Raw) || !strings.Contains(metrics, "keywatch_tls_reload_failed 1") {
		t.Error("with a broken file the certificate of before is not served, or no metric says so")
	}
}

// If this failed, a server would open its data, or listen, before it knows that it has no certificate.
func TestCertificateIsCheckedFirst(t *testing.T) {
	dir := t.TempDir()
	cert, _ := certstest.Sign(t, nil, "127.0.0.1", time.Now().Add(time.Hour)).Write(t, dir, "one")
	_, key := certstest.Sign(t, nil, "127.0.0.1", time.Now().Add(time.Hour)).Write(t, dir, "two")
	config := app.ServeConfig{Config: app.Config{Data: filepath.Join(dir, "data")}, Listen: "127.0.0.1:0"}
	config.TLS.TLSCert, config.TLS.TLSKey = cert, key
	err := app.Serve(t.Context(), config, nil)
	if err == nil || !strings.Contains(err.Error(), key) || !strings.Contains(err.Error(), "does not match") {
		t.Errorf("got %v, want the file and the reason", err)
	}
	if _, err := os.Stat(config.Data); err == nil {
		t.Error("the data folder was made")
	}
}

// If this failed, half a configuration would be accepted, or other machines would be served in clear
// text because a proxy was not mentioned.
func TestTLSConfig(t *testing.T) {
	for _, c := range []struct {
		cert, key, auth string
		want            string
	}{
		{"", "", "on", "--tls-cert"}, {"a", "b", "on", ""}, {"a", "", "on", "tls-key: "}, {"", "b", "on", "tls-cert: "},
		{"a", "b", "auto", "--auth=on"},
	} {
		config := app.ServeConfig{Listen: "192.0.2.1:7070"}
		config.Data, config.Auth = t.TempDir(), c.auth
		config.TLS.TLSCert, config.TLS.TLSKey = c.cert, c.key
		err := config.Validate()
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: got %v, want %q", c, err, c.want)
		}
		config.RESP = "192.0.2.1:6379" // the same holds for clients of Redis
		if err := config.Validate(); (err == nil) != (c.want == "") {
			t.Errorf("%+v: got %v with an address for RESP, want %q", c, err, c.want)
		}
	}
}

// If this failed, other machines would be served RESP in clear text because one flag was set, or left out.
func TestRESPInClearText(t *testing.T) {
	for _, c := range []struct {
		resp, cert     string
		clear, plain   bool
		want, announce string
	}{
		{"127.0.0.1:6379", "", false, false, "", "127.0.0.1:6379"},
		{"127.0.0.1:6379", "a", false, false, "", "rediss://127.0.0.1:6379"},
		{"127.0.0.1:6379", "a", true, false, "", "127.0.0.1:6379"},
		{"192.0.2.1:6379", "a", false, false, "", "rediss://192.0.2.1:6379"},
		{"192.0.2.1:6379", "a", false, true, "", "rediss://192.0.2.1:6379"},
		{"192.0.2.1:6379", "a", true, false, "--resp-plaintext", ""},
		{"192.0.2.1:6379", "a", true, true, "", "192.0.2.1:6379"},
		{"192.0.2.1:6379", "", false, false, "--tls-cert", ""},
		{"192.0.2.1:6379", "", false, true, "", "192.0.2.1:6379"},
		{"127.0.0.1:6379", "", true, false, "resp-plaintext: requires", ""},
		{"", "a", true, false, "resp-plaintext: requires", ""},
	} {
		config := app.ServeConfig{RESP: c.resp, RESPPlaintext: c.clear, Plaintext: c.plain}
		config.Data, config.Auth, config.TLS.TLSCert, config.TLS.TLSKey = t.TempDir(), "on", c.cert, c.cert
		err := config.Validate()
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: got %v", c, err)
		}
		if addr, bad := net.ResolveTCPAddr("tcp", c.resp); bad == nil && err == nil && config.RESPURL(addr) != c.announce {
			t.Errorf("%+v: it says %s", c, config.RESPURL(addr))
		}
	}
}

// respOf has a server serve clients of Redis too, and returns where.
func respOf(c *app.ServeConfig) <-chan string {
	at := make(chan string, 1)
	c.RESP = "127.0.0.1:0"
	c.RESPStarted = func(a net.Addr) { at <- a.String() }
	return at
}

// If this failed, clients of Redis would be served in clear text by a server that has a certificate, or with
// one of before.
func TestRESPOverTLS(t *testing.T) {
	var at <-chan string
	s := serveTLS(t, func(c *app.ServeConfig) { at = respOf(c) })
	address := <-at
	ping := func() []byte {
		t.Helper()
		conn, err := tls.Dial("tcp", address, certstest.Trusting(t, s.authority))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		gate.Bound(t, conn)
		if _, err := io.WriteString(conn, "PING\r\n"); err != nil {
			t.Fatal(err)
		}
		got := make([]byte, 7)
		if _, err := io.ReadFull(conn, got); err != nil || string(got) != "+PONG\r\n" {
			t.Errorf("got %q, %v", got, err)
		}
		return conn.ConnectionState().PeerCertificates[0].Raw
	}
	before := ping()
	next := s.renew()
	next.Write(t, s.dir, "kv")
	s.updates <- s.config
	s.updates <- s.config // once it is received the first is in force
	if now := ping(); bytes.Equal(before, now) || !bytes.Equal(now, next.Leaf.Raw) {
		t.Error("the new certificate is not shown to clients of Redis")
	}
	browser := certstest.Trusting(t, s.authority)
	browser.NextProtos = []string{"h2", "http/1.1"}
	if conn, err := tls.Dial("tcp", address, browser); err == nil {
		conn.Close()
		t.Error("a browser has got a connection for commands of Redis")
	}
	gate.Until(t, func() bool {
		_, metrics, _ := s.get("/metrics")
		return strings.Contains(metrics, `keywatch_tls_handshakes_total{result="failed"} 1`)
	}, "never: a metric counts the handshake that failed")
}

// If this failed, redis-cli, or a client of another library of TLS, could not be used over TLS.
func TestProofRedisClientsOverTLS(t *testing.T) {
	gate.Long(t)
	cli, python := gate.Program(t, "redis-cli"), gate.Program(t, "/usr/bin/python3", "python3")
	var at <-chan string
	p := serveProven(t, "ask", func(c *app.ServeConfig) { at = respOf(c) })
	host, port, err := net.SplitHostPort(<-at)
	must(t, err)
	cert, key := p.cert("ann").Write(t, p.dir, "ann")
	redis := func(args ...string) string {
		t.Helper()
		command := exec.CommandContext(gate.Context(t), cli, append([]string{"-h", host, "-p", port, "--no-auth-warning"}, args...)...)
		out, err := command.CombinedOutput()
		if err != nil && !errors.As(err, new(*exec.ExitError)) {
			t.Fatal(err)
		}
		return strings.TrimSpace(string(out))
	}
	secured := []string{"--tls", "--cacert", p.config.TLS.TLSClientCA}
	shows := append(slices.Clone(secured), "--cert", cert, "--key", key)
	for _, c := range []struct {
		args []string
		want string
	}{
		{append(slices.Clone(shows), "SET", "ann/1", "x"), "OK"},
		{append(slices.Clone(shows), "GET", "ann/1"), "x"},
		{append(slices.Clone(shows), "ACL", "WHOAMI"), "ann"},
		{append(slices.Clone(shows), "SET", "other", "x"), "NOPERM"},
		{append(slices.Clone(secured), "GET", "ann/1"), "NOAUTH"},
		{append(slices.Clone(secured), "-a", p.admin, "GET", "ann/1"), "x"},
		{[]string{"-a", p.admin, "GET", "ann/1"}, "this port speaks TLS"},
		{[]string{"--tls", "GET", "ann/1"}, "certificate verify failed"},
	} {
		if got := redis(c.args...); !strings.Contains(got, c.want) {
			t.Errorf("%q: got %q, want %q", c.args, got, c.want)
		}
	}
	script := `
import socket, ssl, sys
context = ssl.create_default_context(cafile=sys.argv[1])
context.load_cert_chain(sys.argv[2], sys.argv[3])
with context.wrap_socket(socket.create_connection((sys.argv[4], int(sys.argv[5]))), server_hostname=sys.argv[4]) as s:
    for text in ("*2\r\n$3\r\nGE", "T\r\n$5\r\nann/1\r\n"):
        s.sendall(text.encode())
    print(s.version(), s.recv(64))
`
	out, err := exec.CommandContext(gate.Context(t), python, "-c", script, p.config.TLS.TLSClientCA, cert, key, host, port).CombinedOutput()
	if want := `TLSv1.3 b'$1\r\nx\r\n'`; err != nil || strings.TrimSpace(string(out)) != want {
		t.Errorf("python: got %s, %v, want %s", out, err, want)
	}
}
