package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// revokedStreams is how many streams a revocation ends, otherStreams how many go on.
	revokedStreams, otherStreams = 10_000, 1000
	// othersRate is how many values a second the others are told.
	othersRate = 50
	// tellTime bounds the wait until all are told.
	tellTime = 30 * time.Second
)

// streams are streams of one key.
type streams struct {
	conns []net.Conn
	done  sync.WaitGroup
	// denied counts those that were told that they may not go on.
	denied atomic.Int64
	mu     sync.Mutex
	// delays are how long values took to arrive, since mark.
	delays []time.Duration
	err    error
}

// streams opens n streams of a key, and returns once each of them has begun.
func (s *authServer) streams(secret, key string, n int) (*streams, error) {
	all := new(streams)
	var begun sync.WaitGroup
	slots := make(chan struct{}, 64)
	for range n {
		conn, err := net.Dial("tcp", s.address())
		if err != nil {
			all.close()
			return nil, err
		}
		all.conns = append(all.conns, conn)
		auth := ""
		if secret != "" {
			auth = "Authorization: Bearer " + secret + "\r\n"
		}
		_, err = fmt.Fprintf(conn, "GET /v1/watch?key=%s HTTP/1.1\r\nHost: %s\r\nAccept: application/x-ndjson\r\n%s\r\n", key, s.address(), auth)
		if err != nil {
			all.close()
			return nil, err
		}
		begun.Add(1)
		slots <- struct{}{}
		all.done.Go(func() { all.follow(conn, sync.OnceFunc(func() { <-slots; begun.Done() })) })
	}
	begun.Wait()
	if err := all.failed(); err != nil {
		all.close()
		return nil, err
	}
	return all, nil
}

// follow reads one stream to its end. It calls begun once the stream is synced.
func (all *streams) follow(conn net.Conn, begun func()) {
	defer begun()
	lines := bufio.NewScanner(conn)
	lines.Buffer(make([]byte, 1024), 1<<16)
	synced := false
	for lines.Scan() {
		line := lines.Bytes()
		switch {
		case bytes.Contains(line, []byte(`"type":"synced"`)):
			synced = true
			begun()
		case bytes.Contains(line, []byte(`"type":"denied"`)):
			all.denied.Add(1)
			return
		case bytes.Contains(line, []byte(`"type":"put"`)):
			all.arrived(line)
		}
	}
	if !synced {
		all.fail(fmt.Errorf("a stream did not begin: %q, %w", lines.Text(), errors.Join(lines.Err())))
	}
}

// arrived notes how long a value took, which is the time when it was written.
func (all *streams) arrived(line []byte) {
	_, rest, _ := bytes.Cut(line, []byte(`"value":"`))
	text, _, _ := bytes.Cut(rest, []byte{'"'})
	at, err := strconv.ParseInt(string(text), 10, 64)
	if err != nil {
		all.fail(fmt.Errorf("%q: %w", line, err))
		return
	}
	all.mu.Lock()
	all.delays = append(all.delays, time.Since(time.Unix(0, at)))
	all.mu.Unlock()
}

func (all *streams) fail(err error) {
	all.mu.Lock()
	defer all.mu.Unlock()
	all.err = errors.Join(all.err, err)
}

func (all *streams) failed() error {
	all.mu.Lock()
	defer all.mu.Unlock()
	return all.err
}

// take returns the delays since the last take.
func (all *streams) take() []time.Duration {
	all.mu.Lock()
	defer all.mu.Unlock()
	taken := all.delays
	all.delays = nil
	return taken
}

func (all *streams) close() {
	for _, conn := range all.conns {
		_ = conn.Close()
	}
	all.done.Wait()
}

// p99Of returns the 99th of a hundred in microseconds.
func p99Of(delays []time.Duration) float64 {
	if len(delays) == 0 {
		return 0
	}
	slices.Sort(delays)
	return float64(delays[len(delays)*99/100].Microseconds())
}

// roundRevocation deletes a user who has many streams, beside others that are told values.
func roundRevocation(c config, dir string, _ int) ([]float64, error) {
	s, err := startAuthServer(c, dir, true)
	if err != nil {
		return nil, err
	}
	defer s.stop()
	var opened [2]*streams
	for i, name := range []string{"revoked", "others"} {
		secret, err := s.user(name)
		if err == nil {
			opened[i], err = s.streams(secret, name+"/key", []int{revokedStreams, otherStreams}[i])
		}
		if err != nil {
			return nil, err
		}
		defer opened[i].close()
	}
	ctx, cancel := context.WithCancel(context.Background())
	var writing sync.WaitGroup
	writing.Go(func() { s.tell(ctx, opened[1]) })
	defer writing.Wait()
	defer cancel()
	time.Sleep(time.Second) // until it runs evenly
	opened[1].take()
	time.Sleep(time.Duration(c.seconds) * time.Second)
	before := opened[1].take()
	took, err := s.revoke(opened[0])
	if err != nil {
		return nil, err
	}
	time.Sleep(max(0, time.Second-took))
	meanwhile := opened[1].take()
	if err := opened[1].failed(); err != nil {
		return nil, err
	}
	a, b := p99Of(before), p99Of(meanwhile)
	return []float64{float64(took.Microseconds()) / 1000, a, b, b / a}, nil
}

// tell writes the time to the key of others, until ctx ends.
func (s *authServer) tell(ctx context.Context, to *streams) {
	tick := time.NewTicker(time.Second / othersRate)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if _, err := s.do("PUT", "/v1/kv/others/key", strconv.FormatInt(time.Now().UnixNano(), 10)); err != nil {
				to.fail(err)
				return
			}
		case <-ctx.Done():
			return
		}
	}
}

// revoke deletes the user of all, and returns when every stream was told, since the request was sent.
func (s *authServer) revoke(all *streams) (time.Duration, error) {
	began := time.Now()
	if _, err := s.do("DELETE", "/v1/auth/users/revoked", ""); err != nil {
		return 0, err
	}
	for all.denied.Load() < int64(len(all.conns)) {
		if time.Since(began) > tellTime {
			return 0, fmt.Errorf("%d of %d streams were told", all.denied.Load(), len(all.conns))
		}
		time.Sleep(time.Millisecond)
	}
	return time.Since(began), nil
}
