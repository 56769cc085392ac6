package proxies_test

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"
)

// If what docs/proxies.md shows for nginx did not serve the dashboard below a path,
// people who paste it would look at an empty page.
func TestServerBelowAPath(t *testing.T) {
	text, err := os.ReadFile("../../docs/proxies.md")
	if err != nil {
		t.Fatal(err)
	}
	block := regexp.MustCompile("(?s)```nginx\n(.*?)```").FindSubmatch(text)
	if block == nil {
		t.Fatal("docs/proxies.md shows no nginx")
	}
	s := newServer(t)
	shown := strings.ReplaceAll(string(block[1]), "127.0.0.1:7070", s.addr)
	addr := nginx(t, s.addr, "", "}\n"+strings.TrimSuffix(strings.TrimSpace(shown), "}")) // beside the location that is there
	page := answer(t, "GET", "http://"+addr+"/kw/", 200)
	refs := regexp.MustCompile(`(?:href|src)="([^#"]+)"`).FindAllStringSubmatch(page, -1)
	if len(refs) < 4 {
		t.Fatalf("the page refers to %q", refs)
	}
	for _, ref := range refs {
		answer(t, "GET", "http://"+addr+"/kw/"+ref[1], 200, "Origin", "http://"+addr)
	}
	answer(t, "PUT", "http://"+addr+"/kw/v1/kv/a%2Fb", 201, "Origin", "http://"+addr)
	answer(t, "GET", "http://"+addr+"/kw/v1/kv/a/b", 200)
	answer(t, "GET", "http://"+addr+"/kw/v1/ws", 101, "Origin", "http://"+addr, "Connection", "Upgrade", "Upgrade", "websocket",
		"Sec-WebSocket-Version", "13", "Sec-WebSocket-Key", "AAAAAAAAAAAAAAAAAAAAAA==")
	answer(t, "PUT", "http://"+addr+"/kw/v1/kv/c", 403, "Origin", "http://elsewhere.example")
	if moved := answer(t, "GET", "http://"+addr+"/kw", 301); !strings.Contains(moved, "nginx") {
		t.Errorf("without its slash the path answers %q", moved)
	}
}

// answer returns the body of an answer, which must have a status.
func answer(t *testing.T, method, url string, status int, headers ...string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != status {
		body, _ := io.ReadAll(resp.Body)
		t.Fatalf("%s %s: %s %s, want %d", method, url, resp.Status, body, status)
	}
	if status == http.StatusSwitchingProtocols {
		return ""
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(fmt.Errorf("%s %s: %w", method, url, err))
	}
	return string(body)
}
