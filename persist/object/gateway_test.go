package object_test

import (
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"keywatch/persist/object"
)

// gateway finds the program versitygw: KEYWATCH_VERSITYGW, else the PATH. Where
// KEYWATCH_REQUIRE_S3 is set, its absence is a failure.
func gateway(t *testing.T) string {
	path := os.Getenv("KEYWATCH_VERSITYGW")
	if path == "" {
		path = "versitygw"
	}
	found, err := exec.LookPath(path)
	if err == nil {
		return found
	}
	const how = "go install github.com/versity/versitygw/cmd/versitygw@v1.8.0"
	if os.Getenv("KEYWATCH_REQUIRE_S3") != "" {
		t.Fatalf("no real S3 server: %v (%s)", err, how)
	}
	t.Skipf("NOT TESTED with a real S3 server: %v (%s; KEYWATCH_REQUIRE_S3=1 makes this a failure)", err, how)
	return ""
}

// startGateway runs a real S3 server and returns its folder and address.
func startGateway(t *testing.T, program string) (root, addr string) {
	t.Helper()
	setCredentials(t)
	root = t.TempDir()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	addr = l.Addr().String()
	must(t, l.Close())
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	must(t, err)
	cmd := exec.Command(program, "--port", addr, "posix", root)
	cmd.Env = append(os.Environ(), "ROOT_ACCESS_KEY=test-key", "ROOT_SECRET_KEY="+testSecret)
	cmd.Stdout, cmd.Stderr = log, log
	must(t, cmd.Start())
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait(); log.Close() })
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		if answer, err := http.Get("http://" + addr + "/"); err == nil {
			answer.Body.Close()
			return root, addr
		}
		if time.Now().After(end) {
			b, _ := os.ReadFile(log.Name())
			t.Fatalf("the gateway does not answer: %s", b)
		}
	}
}

// If a real S3 server differed from the one in this process, only customers would
// notice.
func TestS3Gateway(t *testing.T) {
	root, addr := startGateway(t, gateway(t))
	n := 0
	runSuite(t, func(t *testing.T) object.Store {
		n++
		bucket := fmt.Sprintf("bucket-%d", n)
		must(t, os.Mkdir(filepath.Join(root, bucket), 0o755))
		return open(t, "s3://"+bucket+"/some/prefix?endpoint="+url.QueryEscape("http://"+addr), object.Options{})
	})
}
