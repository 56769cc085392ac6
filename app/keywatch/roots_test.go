package main

import (
	"crypto/x509"
	"os"
	"os/exec"
	"testing"
)

// In an image without a file of roots no object store and no collector could be reached by https.
func TestRootsWithoutTheSystems(t *testing.T) {
	if os.Getenv("KEYWATCH_TEST_ROOTS") != "" {
		pool, err := x509.SystemCertPool()
		if err != nil || pool.Equal(x509.NewCertPool()) {
			t.Fatalf("there are no roots, %v", err)
		}
		return
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	again := exec.CommandContext(t.Context(), self, "-test.run=^TestRootsWithoutTheSystems$", "-test.v")
	again.Env = append(os.Environ(), "KEYWATCH_TEST_ROOTS=1", "SSL_CERT_FILE="+t.TempDir()+"/none", "SSL_CERT_DIR="+t.TempDir())
	if out, err := again.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
