package e2e_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"

	"keywatch/test/gate"
)

// redisOf returns what sends words on a connection of its own and returns the reply: one line, or the
// texts of a list.
func redisOf(t *testing.T, s *server) func(words ...string) []string {
	t.Helper()
	m := respAddr.FindStringSubmatch(s.line)
	if m == nil {
		t.Fatalf("it announces %q", s.line)
	}
	conn, err := net.Dial("tcp", m[1])
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	gate.Bound(t, conn)
	w := &redisConn{t: t, conn: conn, r: bufio.NewReader(conn)}
	return w.say
}

type redisConn struct {
	t    *testing.T
	conn net.Conn
	r    *bufio.Reader
}

func (w *redisConn) say(words ...string) []string {
	w.t.Helper()
	if _, err := io.WriteString(w.conn, respCommand(words...)); err != nil {
		w.t.Fatal(err)
	}
	line := w.line()
	if line[0] != '*' {
		return []string{w.text(line)}
	}
	var all []string
	for range number(line) {
		all = append(all, w.text(w.line()))
	}
	return all
}

func (w *redisConn) line() string {
	w.t.Helper()
	line, err := w.r.ReadString('\n')
	if err != nil {
		w.t.Fatal(err)
	}
	return strings.TrimSuffix(line, "\r\n")
}

// text returns what a line that may announce bytes is.
func (w *redisConn) text(line string) string {
	w.t.Helper()
	if line[0] != '$' || line == "$-1" {
		return line
	}
	b := make([]byte, number(line)+2)
	if _, err := io.ReadFull(w.r, b); err != nil {
		w.t.Fatal(err)
	}
	return string(b[:len(b)-2])
}

// If this failed, what services write by one protocol would not be there, or would have another name,
// by the other; or a key that one refuses would come by the other.
func TestRedisAndHTTPSeeOneList(t *testing.T) {
	s := serve(t, "--memory-only", "--resp", "127.0.0.1:0")
	redis := redisOf(t, s)
	keys := []string{"a", "a/b", "a b", "é", "a%20b", "a+b?c", "cache:user:1", "\U0001f511", strings.Repeat("k", 1024), "percent%2Fslash"}
	for i, key := range keys {
		if i%2 == 0 {
			if got := redis("SET", key, key); got[0] != "+OK" {
				t.Errorf("SET %.40q: got %s", key, got)
			}
			if status, body := s.http(t, "GET", key, ""); status != 200 || body != key {
				t.Errorf("GET %.40q over HTTP: got %d, %.40q", key, status, body)
			}
		} else {
			if status, body := s.http(t, "PUT", key, key); status != 201 {
				t.Errorf("PUT %.40q: got %d, %s", key, status, body)
			}
			if got := redis("GET", key); got[0] != key {
				t.Errorf("GET %.40q over RESP: got %.40q", key, got)
			}
		}
	}
	for _, key := range []string{"", "a//b", "/a", "a/", "a/../b", "a\x00", "\xff\xfe", "a\nb", strings.Repeat("k", 1025)} {
		if got := redis("SET", key, "v"); !strings.HasPrefix(got[0], "-ERR bad key") {
			t.Errorf("SET %.40q: got %.80s, want it refused", key, got)
		}
		if key == "" {
			continue // it is the route of the list
		}
		if status, _ := s.http(t, "PUT", key, "v"); status < 300 || status >= 500 {
			t.Errorf("PUT %.40q: got %d, want it refused", key, status)
		}
	}
	if got := redis("SET", "locks/a", "v"); !strings.HasPrefix(got[0], "-NOPERM") {
		t.Errorf("SET locks/a: got %s", got)
	}
	slices.Sort(keys)
	listed := redis("KEYS", "*")
	slices.Sort(listed)
	if over := s.listed(t); !slices.Equal(listed, keys) || !slices.Equal(over, keys) {
		t.Errorf("got %.900q over RESP, %.900q over HTTP, want %.900q", listed, over, keys)
	}
}

// http sends a request for a key.
func (s *server) http(t *testing.T, method, key, body string) (status int, answer string) {
	t.Helper()
	req, err := http.NewRequest(method, s.url+"/v1/kv/"+strings.ReplaceAll(url.PathEscape(key), "%2F", "/"), strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

// listed returns all keys.
func (s *server) listed(t *testing.T) (keys []string) {
	t.Helper()
	resp, err := http.Get(s.url + "/v1/kv?prefix=")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var page struct {
		Entries []struct{ Key string }
	}
	if err := json.NewDecoder(resp.Body).Decode(&page); err != nil {
		t.Fatal(err)
	}
	for _, e := range page.Entries {
		keys = append(keys, e.Key)
	}
	return keys
}

// If this failed, who measures with redis-benchmark would read a warning first, and would measure
// errors.
func TestProofRedisBenchmarkRuns(t *testing.T) {
	gate.Long(t)
	program := gate.Program(t, "redis-benchmark")
	s := serve(t, "--memory-only", "--resp", "127.0.0.1:0")
	_, port, _ := net.SplitHostPort(respAddr.FindStringSubmatch(s.line)[1])
	for _, depth := range []string{"1", "16"} {
		cmd := exec.Command(program, "-p", port, "-t", "ping,set,get,incr,mset", "-n", "5000", "-c", "20", "-P", depth, "-r", "1000", "--csv")
		out, err := cmd.CombinedOutput()
		if err != nil || strings.Contains(string(out), "WARN") || strings.Contains(strings.ToUpper(string(out)), "ERROR") || strings.Count(string(out), "\n") < 7 {
			t.Errorf("-P %s: %v\n%s", depth, err, out)
		}
	}
}

// respCommand returns words as a command.
func respCommand(words ...string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "*%d\r\n", len(words))
	for _, w := range words {
		fmt.Fprintf(&b, "$%d\r\n%s\r\n", len(w), w)
	}
	return b.String()
}

// number returns what a line counts.
func number(line string) int {
	n, _ := strconv.Atoi(line[1:])
	return n
}
