package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// An authServer is keywatch with authentication, or without.
type authServer struct {
	cmd     *exec.Cmd
	url     string
	admin   string   // the secret of an administrator; empty without authentication
	headers []string // of each of its requests
}

// startAuthServer starts a durable server with defaults.
func startAuthServer(c config, dir string, on bool) (*authServer, error) {
	s := &authServer{}
	data := filepath.Join(dir, fmt.Sprint("data", time.Now().UnixNano()))
	s.cmd = exec.Command(c.keywatch, "serve", "--listen", "127.0.0.1:0", "--data", data)
	s.cmd.Stderr = os.Stderr
	if on {
		key, err := exec.Command(c.keywatch, "auth", "key", "new").Output()
		if err != nil {
			return nil, err
		}
		s.admin = strings.TrimSpace(string(key))
		s.headers = []string{"Authorization: Bearer " + s.admin}
		s.cmd.Args = append(s.cmd.Args, "--auth=on")
		s.cmd.Env = append(os.Environ(), "KEYWATCH_ADMIN_KEY="+s.admin)
	}
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		end(s.cmd)
		return nil, fmt.Errorf("keywatch did not start: %w", err)
	}
	s.url = strings.Fields(line)[1]
	return s, nil
}

func (s *authServer) stop() { end(s.cmd) }

// address returns the host and port.
func (s *authServer) address() string { return strings.TrimPrefix(s.url, "http://") }

// fill writes all keys, and reads one of them: wrk does not tell a read that is refused.
func (s *authServer) fill(c config, dir string) error {
	if _, err := wrk(c, s.url, dir, "fill", 2, s.headers...); err != nil {
		return err
	}
	if _, err := s.do("PUT", "/v1/kv/bench/1", strings.Repeat("x", c.size)); err != nil {
		return err
	}
	_, err := s.do("GET", "/v1/kv/bench/1", "")
	return err
}

// do sends a request as the administrator. Any answer that is not a success is an error.
func (s *authServer) do(method, path, body string) ([]byte, error) {
	req, err := http.NewRequest(method, s.url+path, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	if s.admin != "" {
		req.Header.Set("Authorization", "Bearer "+s.admin)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode >= 300 {
		err = fmt.Errorf("%s %s: %s: %s", method, path, resp.Status, answer)
	}
	return answer, err
}

// user makes a user who may read and watch all below its name, and returns the secret of a key for it.
func (s *authServer) user(name string) (secret string, err error) {
	if _, err := s.do("PUT", "/v1/auth/roles/"+name, `{"grants":["read,watch:`+name+`/"]}`); err != nil {
		return "", err
	}
	if _, err := s.do("POST", "/v1/auth/users", `{"name":"`+name+`","roles":["`+name+`"]}`); err != nil {
		return "", err
	}
	answer, err := s.do("POST", "/v1/auth/keys", `{"user":"`+name+`","ttl":"1h"}`)
	if err != nil {
		return "", err
	}
	_, rest, _ := strings.Cut(string(answer), `"key":"`)
	secret, _, ok := strings.Cut(rest, `"`)
	if !ok {
		return "", fmt.Errorf("no key in %s", answer)
	}
	return secret, nil
}

// memory returns the resident memory of the process in bytes.
func (s *authServer) memory() (int64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	_, rest, ok := bytes.Cut(status, []byte("VmRSS:"))
	fields := bytes.Fields(rest)
	if !ok || len(fields) == 0 {
		return 0, fmt.Errorf("no VmRSS in %s", status)
	}
	kib, err := strconv.ParseInt(string(fields[0]), 10, 64)
	return kib << 10, err
}
