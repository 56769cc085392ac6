package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"strings"
	"sync"
	"time"
)

const (
	// readRate is how many reads a second are timed, loginRate how many logins a second are wrong.
	readRate, loginRate = 2000, 1000
)

// A line is one connection that sends a request at a time.
type line struct {
	conn net.Conn
	in   *bufio.Reader
}

// dialLine connects from an address of this machine; an empty one is any.
func (s *authServer) dialLine(from string) (*line, error) {
	d := net.Dialer{}
	if from != "" {
		d.LocalAddr = &net.TCPAddr{IP: net.ParseIP(from)}
	}
	conn, err := d.Dial("tcp", s.address())
	if err != nil {
		return nil, err
	}
	return &line{conn, bufio.NewReaderSize(conn, 1024)}, nil
}

// ask sends a request and returns the status of its answer.
func (l *line) ask(request string) (int, error) {
	if _, err := io.WriteString(l.conn, request); err != nil {
		return 0, err
	}
	resp, err := http.ReadResponse(l.in, nil)
	if err != nil {
		return 0, err
	}
	_, err = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode, errors.Join(err, resp.Body.Close())
}

// paced has each line send requests evenly, rate a second of all together, until ctx ends. each is
// called with how long an answer took since its request was due, which counts the wait behind a late one.
func paced(ctx context.Context, lines []*line, rate int, request func(i int) string, each func(status int, took time.Duration) error) error {
	gap := time.Duration(len(lines)) * time.Second / time.Duration(rate)
	began := time.Now()
	errs := make([]error, len(lines))
	var running sync.WaitGroup
	for i, l := range lines {
		running.Go(func() {
			due := began.Add(gap * time.Duration(i) / time.Duration(len(lines)))
			for ; errs[i] == nil; due = due.Add(gap) {
				select {
				case <-time.After(time.Until(due)):
				case <-ctx.Done():
					return
				}
				status, err := l.ask(request(i))
				if err == nil {
					err = each(status, time.Since(due))
				}
				errs[i] = err
			}
		})
	}
	running.Wait()
	return errors.Join(errs...)
}

// readP99 returns the p99 of reads at a steady rate for a while, in microseconds.
func (s *authServer) readP99(c config) (float64, error) {
	var lines []*line
	for range c.conns {
		l, err := s.dialLine("")
		if err != nil {
			return 0, err
		}
		defer l.conn.Close()
		lines = append(lines, l)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Duration(c.seconds)*time.Second)
	defer cancel()
	var mu sync.Mutex
	var delays []time.Duration
	get := fmt.Sprintf("GET /v1/kv/bench/1 HTTP/1.1\r\nHost: %s\r\n%s\r\n\r\n", s.address(), s.headers[0])
	err := paced(ctx, lines, readRate, func(int) string { return get }, func(status int, took time.Duration) error {
		if status != 200 {
			return fmt.Errorf("a read was answered %d", status)
		}
		mu.Lock()
		defer mu.Unlock()
		delays = append(delays, took)
		return nil
	})
	return p99Of(delays), err
}

// A besides is what reads are timed beside.
type besides struct {
	// logins says that requests are logins that fail, and not ones that are refused before a password is
	// looked at; many that they come from as many addresses as there are a second, and not from one; burn
	// that another process keeps a processor busy, at the least priority.
	logins, many, burn bool
}

// all are what reads are timed beside: nothing first, then what costs as much to send and to refuse as
// wrong logins do, and wrong logins.
var all = []*besides{nil, {}, {many: true}, {logins: true}, {logins: true, many: true}, {many: true, burn: true}}

// send sends requests until ctx ends.
func (b *besides) send(ctx context.Context, s *authServer) error {
	n := 16
	if b.many {
		n = loginRate
	}
	var lines []*line
	for i := range n {
		from := "127.0.0.1"
		if b.many {
			from = fmt.Sprintf("127.1.%d.%d", i/250, i%250+1)
		}
		l, err := s.dialLine(from)
		if err != nil {
			return err
		}
		defer l.conn.Close()
		lines = append(lines, l)
	}
	login := func(i int) string {
		body := fmt.Sprintf(`{"user":"user%d","password":"a wrong password"}`, i)
		if !b.logins {
			body = strings.ReplaceAll(body, "password", "passwort")
		}
		return fmt.Sprintf("POST /v1/auth/login HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\n\r\n%s", s.address(), len(body), body)
	}
	return paced(ctx, lines, loginRate, login, func(status int, _ time.Duration) error {
		if b.logins != (status == 401 || status == 429 || status == 503) {
			return fmt.Errorf("a login was answered %d", status)
		}
		return nil
	})
}

// burn keeps a processor busy at the least priority until ctx ends.
func burn(ctx context.Context) error {
	cmd := exec.CommandContext(ctx, "nice", "-n", "19", "sh", "-c", "while :; do :; done")
	if err := cmd.Run(); ctx.Err() == nil {
		return err
	}
	return nil
}

// roundLogins times reads beside each of all.
func roundLogins(c config, dir string, n int) ([]float64, error) {
	s, err := startAuthServer(c, dir, true)
	if err != nil {
		return nil, err
	}
	defer s.stop()
	if _, err := s.do("PUT", "/v1/kv/bench/1", "value"); err != nil {
		return nil, err
	}
	if _, err := s.readP99(c); err != nil { // to warm up
		return nil, err
	}
	found := make([]float64, len(all))
	for turn := range found {
		i := (turn + n) % len(found)
		if found[i], err = s.readBeside(c, all[i]); err != nil {
			return nil, err
		}
	}
	out := append(found, found[3]/found[1], found[4]/found[2])
	return out, nil
}

// readBeside times reads beside what b sends; nil is nothing.
func (s *authServer) readBeside(c config, b *besides) (float64, error) {
	ctx, cancel := context.WithCancel(context.Background())
	var group sync.WaitGroup
	var failed [2]error
	if b != nil {
		group.Go(func() { failed[0] = b.send(ctx, s) })
		if b.burn {
			group.Go(func() { failed[1] = burn(ctx) })
		}
		time.Sleep(time.Second)
	}
	p, err := s.readP99(c)
	cancel()
	group.Wait()
	return p, errors.Join(err, failed[0], failed[1])
}
