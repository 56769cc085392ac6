package proxies_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"keywatch/app"
	"keywatch/test/gate"
)

// A server is keywatch on an address that it keeps when it is restarted.
type server struct {
	t      *testing.T
	config app.ServeConfig
	addr   string
	stop   context.CancelFunc
	done   chan error // carries what Serve returned
}

func newServer(t *testing.T, origins ...string) *server {
	s := &server{t: t, config: app.ServeConfig{
		// Nothing but what is published may push bytes through a proxy.
		Config: app.Config{Data: t.TempDir(), Fsync: "interval", Heartbeat: time.Hour},
		Listen: "127.0.0.1:0", AllowOrigin: origins,
	}}
	s.start()
	s.config.Listen = s.addr
	t.Cleanup(func() { s.end() })
	return s
}

func (s *server) start() {
	s.t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	ready := make(chan net.Addr, 1)
	s.stop, s.done = stop, make(chan error, 1)
	go func() { s.done <- app.Serve(ctx, s.config, func(a net.Addr) { ready <- a }) }()
	select {
	case a := <-ready:
		s.addr = a.String()
	case err := <-s.done:
		s.done <- err
		s.t.Fatalf("serve: %v", err)
	}
}

func (s *server) end() {
	s.stop()
	if err := <-s.done; err != nil {
		s.t.Errorf("serve: %v", err)
	}
	s.done <- nil
}

func (s *server) restart() {
	s.t.Helper()
	s.end()
	s.start()
}

// put writes a key at the server itself, not through a proxy.
func (s *server) put(key, value string) {
	s.t.Helper()
	req, err := http.NewRequestWithContext(gate.Context(s.t), "PUT", "http://"+s.addr+"/v1/kv/"+key, strings.NewReader(value))
	if err != nil {
		s.t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode/100 != 2 {
		s.t.Fatalf("put %s: status %d", key, resp.StatusCode)
	}
}

// A way is how clients reach a server.
type way struct {
	name string
	// open returns the address at which to reach a server at addr.
	open func(t *testing.T, addr string) string
	// browser is set where only browsers' events come at once.
	browser bool
}

var ways = []way{
	{"nothing", func(_ *testing.T, addr string) string { return addr }, false},
	{"nginx", func(t *testing.T, addr string) string { return nginx(t, addr, "gzip off;", "") }, false},
	{"nginx with gzip", func(t *testing.T, addr string) string { return nginx(t, addr, gzipOn, "") }, false},
	// Without http-no-delay haproxy holds back what it thinks is not all of a chunked
	// body, 200 ms each time. Browsers get no chunks.
	{"haproxy", func(t *testing.T, addr string) string { return haproxy(t, addr, "") }, true},
	{"haproxy without delay", func(t *testing.T, addr string) string { return haproxy(t, addr, "option http-no-delay") }, false},
}

const gzipOn = "gzip on; gzip_types *; gzip_min_length 0; gzip_proxied any; gzip_http_version 1.0;"

const nginxConf = `
daemon off; master_process off; worker_processes 1; pid %[1]s/pid; error_log stderr crit;
events { worker_connections 256; }
http {
  access_log off; client_body_temp_path %[1]s/b; proxy_temp_path %[1]s/p; fastcgi_temp_path %[1]s/f;
  uwsgi_temp_path %[1]s/u; scgi_temp_path %[1]s/s;
  %[4]s
  map $http_upgrade $connection_upgrade { default upgrade; '' ''; }
  server {
    listen %[2]s;
    location / {
      proxy_pass http://%[3]s; proxy_http_version 1.1; proxy_set_header Host $http_host;
      proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $connection_upgrade; %[5]s
    }
  }
}`

// nginx starts an nginx before addr with more in its http and location parts.
func nginx(t *testing.T, addr, http, location string) string {
	t.Helper()
	path := gate.Program(t, "nginx", "/usr/sbin/nginx")
	dir, own := t.TempDir(), gate.Address(t)
	runProxy(t, own, path, dir, fmt.Sprintf(nginxConf, dir, own, addr, http, location), "-p", dir, "-e", "stderr", "-c")
	return own
}

const haproxyConf = `
defaults
  mode http
  timeout connect 5s
  timeout client 10m
  timeout server 10m
  timeout tunnel 10m
  %s
frontend front
  bind %s
  default_backend back
backend back
  server one %s
`

func haproxy(t *testing.T, addr, option string) string {
	t.Helper()
	path := gate.Program(t, "haproxy", "/usr/sbin/haproxy")
	own := gate.Address(t)
	runProxy(t, own, path, t.TempDir(), fmt.Sprintf(haproxyConf, option, own, addr), "-db", "-f")
	return own
}

// runProxy runs a proxy until the test ends and waits until it listens on own.
func runProxy(t *testing.T, own, path, dir, conf string, args ...string) {
	t.Helper()
	file := dir + "/conf"
	if err := os.WriteFile(file, []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, append(args, file)...)
	var printed strings.Builder
	cmd.Stderr = &printed
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	exited := make(chan struct{}) // closed when the proxy has ended
	go func() {
		_ = cmd.Wait()
		close(exited)
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-exited
	})
	eventually(t, path+" listens", func() bool {
		select {
		case <-exited:
			t.Fatalf("%s ended: %s", path, printed.String())
		default:
		}
		conn, err := net.Dial("tcp", own)
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
}

// eventually waits until done.
func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	gate.Until(t, done, "never: %s", what)
}
