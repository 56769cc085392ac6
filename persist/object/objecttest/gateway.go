package objecttest

import (
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"keywatch/test/gate"
)

// Credentials that Gateway accepts.
const (
	GatewayKey    = "test-key"
	GatewaySecret = "s3cr3t-of-the-test"
)

// Gateway runs a real S3 server, versitygw, until the test ends, and returns the
// folder whose subfolders are its buckets and its address. The program is looked for
// under KEYWATCH_VERSITYGW, else in the PATH; without it the test ends as with
// gate.Missing.
func Gateway(t testing.TB) (root, addr string) {
	t.Helper()
	program := findGateway(t)
	root = t.TempDir()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr = l.Addr().String()
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil || l.Close() != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "--port", addr, "posix", root)
	cmd.Env = append(os.Environ(), "ROOT_ACCESS_KEY="+GatewayKey, "ROOT_SECRET_KEY="+GatewaySecret)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait(); log.Close() })
	gate.Until(t, func() bool {
		answer, err := http.Get("http://" + addr + "/")
		if err == nil {
			answer.Body.Close()
		}
		return err == nil
	}, "the gateway does not answer: %s", func() string {
		b, _ := os.ReadFile(log.Name())
		return string(b)
	})
	return root, addr
}

func findGateway(t testing.TB) string {
	t.Helper()
	path := os.Getenv("KEYWATCH_VERSITYGW")
	if path == "" {
		path = "versitygw"
	}
	found, err := exec.LookPath(path)
	if err == nil {
		return found
	}
	const how = "go install github.com/versity/versitygw/cmd/versitygw@v1.8.0"
	gate.Missing(t, "no real S3 server: %v (%s)", err, how)
	return ""
}
