package app_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/pem"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"keywatch/app"
	"keywatch/test/gate"
)

// If this failed, a server that waits to join a cluster would leave requests over https without an answer, and be
// restarted for that; or it would show another certificate than later, which clients have pinned.
func TestStartIsToldOverTLS(t *testing.T) {
	var c app.ServeConfig
	c.Data, c.Listen, c.TLS.TLSSelfSigned = filepath.Join(t.TempDir(), "data"), gate.Address(t), true
	c.Peers.Name, c.Peers.PeerListen, c.Peers.PeerInsecure, c.Peers.Join = "n1", gate.Address(t), true, []string{gate.Address(t)}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- app.Serve(ctx, c, nil) }()
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true}}
	var shown []byte
	get := func(path string) (status int, body string) {
		resp, err := client.Get("https://" + c.Listen + path)
		if err != nil {
			return 0, err.Error()
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		if err != nil {
			return 0, err.Error()
		}
		shown = resp.TLS.PeerCertificates[0].Raw
		return resp.StatusCode, string(b)
	}
	gate.Until(t, func() bool { status, _ := get("/healthz"); return status == 200 }, "never: /healthz is answered")
	if status, body := get("/v1/kv/a"); status != 503 || !strings.Contains(body, `"starting"`) {
		t.Errorf("got %d %s, want 503 starting", status, body)
	}
	text, err := os.ReadFile(filepath.Join(c.Data, "tls", "cert.pem"))
	must(t, err)
	if block, _ := pem.Decode(text); block == nil || !bytes.Equal(block.Bytes, shown) {
		t.Error("another certificate is shown than the one that stays")
	}
	stop()
	must(t, <-done)
}
