package e2e_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"keywatch/test/gate"
)

// TestRedisAndHTTPAreLinearizable: gets, sets, sums, deletions and transactions over RESP, and
// gets, puts and sums over HTTP, act on each key as if one after the other, although the server
// is killed again and again while they run.
func TestRedisAndHTTPAreLinearizable(t *testing.T) { redisIsLinearizable(t, 2) }

func TestProofRedisAndHTTPAreLinearizable(t *testing.T) {
	gate.Long(t)
	redisIsLinearizable(t, 8)
}

func redisIsLinearizable(t *testing.T, kills int) {
	t.Parallel()
	keep := keep(t, t.TempDir(), "--resp", "127.0.0.1:0")
	rec := &registers{began: time.Now()}
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	for id := range 6 {
		w := &registerWorker{id: id, rec: rec, keep: keep, random: rand.New(rand.NewPCG(*seed, uint64(id))), redis: id%3 != 0}
		running.Go(func() { w.run(ctx) })
	}
	for n := 0; n < kills || n < 10*kills && !rec.inDoubt(); n++ {
		lasts(t, 600*time.Millisecond)
		keep.server().kill()
		keep.restart(t)
	}
	lasts(t, 600*time.Millisecond)
	cancel()
	running.Wait()
	linearizable(t, func(ops []porcupine.Operation) porcupine.CheckResult {
		return porcupine.CheckOperationsTimeout(registerModel, ops, time.Minute)
	}, rec.mu.ops)
	if !rec.inDoubt() || len(rec.mu.ops) < 500 {
		t.Errorf("%d operations, of which none was in doubt: that tests nothing", len(rec.mu.ops))
	}
}

// What one operation asks, and what it was told.
type registerInput struct {
	kind, key string
	old, new  string
}

type registerOutput struct {
	value   string
	unknown bool
}

// registerModel is a key whose value is a number as text, empty if it is absent.
var registerModel = porcupine.Model{
	Partition: func(all []porcupine.Operation) (parts [][]porcupine.Operation) {
		byKey := make(map[string][]porcupine.Operation)
		for _, op := range all {
			key := op.Input.(registerInput).key
			byKey[key] = append(byKey[key], op)
		}
		for _, ops := range byKey {
			parts = append(parts, ops)
		}
		return parts
	},
	Init: func() any { return "" },
	Step: func(state, input, output any) (bool, any) {
		now, in, out := state.(string), input.(registerInput), output.(registerOutput)
		switch in.kind {
		case "get":
			return out.value == now, now
		case "set":
			return true, in.new
		case "delete":
			return out.unknown || (out.value == "1") == (now != ""), ""
		case "swap":
			if now == in.old {
				return true, in.new
			}
			return out.unknown, now
		}
		n, _ := strconv.Atoi(now)
		sum := strconv.Itoa(n + 1)
		return out.unknown || out.value == sum, sum
	},
	DescribeOperation: func(input, output any) string { return fmt.Sprintf("%v -> %v", input, output) },
}

// registers collects the history; safe for concurrent use.
type registers struct {
	began time.Time
	mu    struct {
		sync.Mutex
		ops   []porcupine.Operation
		doubt bool
	}
}

func (r *registers) inDoubt() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.mu.doubt
}

func (r *registers) add(client int, in registerInput, out registerOutput, call int64) {
	end := int64(time.Since(r.began))
	if out.unknown {
		end = math.MaxInt64
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.mu.doubt = r.mu.doubt || out.unknown
	r.mu.ops = append(r.mu.ops, porcupine.Operation{ClientId: client, Input: in, Call: call, Output: out, Return: end})
}

var (
	// errRefused is for an operation that surely had no effect.
	errRefused = errors.New("refused")
	respAddr   = regexp.MustCompile(`resp=(\S+)`)
)

// firstSet is below every value that is set. What is counted from 1 stays below it, and no two sets
// meet by counting: a value that was deleted never returns.
const firstSet = 1_000_000_000

// A registerWorker sends one operation after the other.
type registerWorker struct {
	id     int
	rec    *registers
	keep   *restarter
	random *rand.Rand
	redis  bool
	n      int
	conn   net.Conn
	r      *bufio.Reader
}

func (w *registerWorker) run(ctx context.Context) {
	defer func() {
		if w.conn != nil {
			_ = w.conn.Close()
		}
	}()
	for ctx.Err() == nil {
		w.n++
		in := registerInput{key: fmt.Sprintf("k%d", w.random.IntN(3)), new: strconv.Itoa(firstSet*(w.id+1) + 1000*w.n)}
		in.kind = []string{"get", "get", "set", "add", "delete", "swap"}[w.random.IntN(6)]
		if !w.redis && w.random.IntN(6) > 3 || !w.redis && (in.kind == "swap" || in.kind == "delete") {
			in.kind = "add"
		}
		server := w.keep.server()
		call := int64(time.Since(w.rec.began))
		var out registerOutput
		var err error
		if w.redis {
			out, err = w.overRedis(server, &in)
		} else {
			out, err = w.overHTTP(server, &in)
		}
		switch {
		case err == nil:
			w.rec.add(w.id, in, out, call)
		case errors.Is(err, errRefused):
		case in.kind != "get":
			w.rec.add(w.id, in, registerOutput{unknown: true}, call)
		}
		if err != nil {
			w.drop()
			select {
			case <-server.exited:
				w.keep.after(ctx, server)
			case <-time.After(2 * time.Millisecond):
			}
		}
	}
}

func (w *registerWorker) drop() {
	if w.conn != nil {
		_ = w.conn.Close()
		w.conn = nil
	}
}

// say sends commands and returns the replies to them, each as one line.
func (w *registerWorker) say(commands ...string) (replies []string, err error) {
	if _, err := io.WriteString(w.conn, strings.Join(commands, "\r\n")+"\r\n"); err != nil {
		return nil, err
	}
	for range commands {
		line, err := w.r.ReadString('\n')
		if err != nil {
			return nil, err
		}
		line = strings.TrimSpace(line)
		if n, isBulk := strings.CutPrefix(line, "$"); isBulk && n != "-1" {
			if line, err = w.r.ReadString('\n'); err != nil {
				return nil, err
			}
			line = strings.TrimSpace(line)
		} else if isBulk {
			line = ""
		}
		replies = append(replies, line)
	}
	return replies, nil
}

func (w *registerWorker) overRedis(server *server, in *registerInput) (out registerOutput, err error) {
	if w.conn == nil {
		m := respAddr.FindStringSubmatch(server.line)
		if m == nil {
			return out, fmt.Errorf("%w: it announces %q", errRefused, server.line)
		}
		if w.conn, err = net.Dial("tcp", m[1]); err != nil {
			w.conn = nil
			return out, errRefused
		}
		w.r = bufio.NewReader(w.conn)
	}
	_ = w.conn.SetDeadline(time.Now().Add(20 * time.Second))
	if in.kind == "swap" {
		return w.swap(in)
	}
	command := map[string]string{"get": "GET ", "set": "SET ", "add": "INCR ", "delete": "DEL "}[in.kind] + in.key
	if in.kind == "set" {
		command += " " + in.new
	}
	replies, err := w.say(command)
	if err != nil {
		return out, err
	}
	return answered(replies[0])
}

func answered(reply string) (out registerOutput, err error) {
	switch {
	case strings.HasPrefix(reply, "-UNKNOWN"):
		return out, io.ErrUnexpectedEOF
	case strings.HasPrefix(reply, "-"):
		return out, fmt.Errorf("%w: %s", errRefused, reply)
	}
	out.value = strings.TrimPrefix(reply, ":")
	return out, nil
}

// swap replaces what it has read, by WATCH.
func (w *registerWorker) swap(in *registerInput) (out registerOutput, err error) {
	replies, err := w.say("WATCH "+in.key, "GET "+in.key)
	if err != nil || strings.HasPrefix(replies[0], "-") || strings.HasPrefix(replies[1], "-") {
		return out, errRefused
	}
	in.old = replies[1]
	replies, err = w.say("MULTI", "SET "+in.key+" "+in.new, "EXEC")
	if err != nil {
		return out, err
	}
	switch exec := replies[2]; {
	case exec == "*-1":
		return out, errRefused
	case exec == "*1":
		_, err = w.r.ReadString('\n')
		return out, err
	default:
		return answered(exec)
	}
}

func (w *registerWorker) overHTTP(server *server, in *registerInput) (out registerOutput, err error) {
	method, path, body := http.MethodGet, "/v1/kv/"+in.key, ""
	switch in.kind {
	case "set":
		method, body = http.MethodPut, in.new
	case "add":
		method, path = http.MethodPost, "/v1/add/"+in.key
	}
	req, err := http.NewRequestWithContext(context.Background(), method, server.url+path, strings.NewReader(body))
	if err != nil {
		return out, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return out, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	switch {
	case err != nil:
		return out, err
	case resp.StatusCode == http.StatusGatewayTimeout:
		return out, io.ErrUnexpectedEOF
	case in.kind == "get" && resp.StatusCode == http.StatusNotFound:
		return out, nil
	case resp.StatusCode >= 300:
		return out, errRefused
	case in.kind == "get":
		out.value = string(text)
	case in.kind == "add":
		out.value = regexp.MustCompile(`"value":"(-?\d+)"`).FindStringSubmatch(string(text))[1]
	}
	return out, nil
}
