package e2e_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"keywatch/test/gate"
	"keywatch/test/load"
)

// What a holder, a process of its own, is told in its environment: where the
// server is, whether to send fences, and whether to continue unasked.
const (
	holderURL    = "KEYWATCH_E2E_HOLDER"
	holderFenced = "KEYWATCH_E2E_FENCED"
	holderLoops  = "KEYWATCH_E2E_LOOPS"
)

// holderTTL is that of the lock; a holder is stopped for longer.
const holderTTL = 4 * time.Second

// hold is the holder process. For each increment of a counter it takes the lock,
// reads, says so, and writes once it is told to. A holder that loops needs no
// telling, continues until its input ends, and then says how often it succeeded.
func hold(url string) int {
	h := holder{url: url, fenced: os.Getenv(holderFenced) != ""}
	in := bufio.NewReader(os.Stdin)
	if os.Getenv(holderLoops) == "" {
		token, value := h.take()
		fmt.Println("read", value)
		_, _ = in.ReadString('\n')
		fmt.Println("wrote", h.add(token, value))
		return 0
	}
	over := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, in)
		close(over)
	}()
	done := 0
	for {
		select {
		case <-over:
			fmt.Println("done", done)
			return 0
		default:
		}
		token, value := h.take()
		if h.add(token, value) == 200 {
			done++
		}
		_, _ = h.send("DELETE", "/v1/locks/l?token="+token, "")
	}
}

type holder struct {
	url    string
	fenced bool
	fence  string
}

func (h *holder) send(method, path, body string) (int, string) {
	req, err := http.NewRequest(method, h.url+path, strings.NewReader(body))
	if err != nil {
		panic(err)
	}
	if h.fenced && h.fence != "" && method == "PUT" {
		req.Header.Set("If-Fence", h.fence)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close()
	b, _ := io.ReadAll(resp.Body)
	return resp.StatusCode, string(b)
}

// take waits for the lock and reads the counter.
func (h *holder) take() (token, value string) {
	for {
		status, body := h.send("POST", "/v1/locks/l", fmt.Sprintf(`{"ttl":"%v","wait":"1m"}`, holderTTL))
		if status != 200 {
			continue
		}
		var got struct{ Token uint64 }
		if err := json.Unmarshal([]byte(body), &got); err != nil {
			panic(err)
		}
		token = strconv.FormatUint(got.Token, 10)
		h.fence = "l=" + token
		_, value = h.send("GET", "/v1/kv/counter", "")
		return token, value
	}
}

// add writes one more than value and returns the status.
func (h *holder) add(token, value string) int {
	n, err := strconv.Atoi(value)
	if err != nil {
		panic(err)
	}
	status, _ := h.send("PUT", "/v1/kv/counter", strconv.Itoa(n+1))
	return status
}

// A child is a running holder.
type child struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

func startHolder(t *testing.T, s *server, env ...string) *child {
	t.Helper()
	c := &child{cmd: exec.Command(os.Args[0])}
	c.cmd.Env = append(append(os.Environ(), holderURL+"="+s.url), env...)
	c.cmd.Stderr = os.Stderr
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	var err error
	if c.in, err = c.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	c.out = bufio.NewReader(out)
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = c.cmd.Process.Kill()
		_ = c.cmd.Wait()
	})
	return c
}

// says reads a line that begins with word and returns the number behind it.
func (c *child) says(t *testing.T, word string) (n int) {
	t.Helper()
	line, err := c.out.ReadString('\n')
	if _, serr := fmt.Sscanf(line, word+" %d", &n); err != nil || serr != nil {
		t.Fatalf("the holder said %q, %v, want %s and a number", line, err, word)
	}
	return n
}

func (c *child) signal(t *testing.T, sig syscall.Signal) {
	t.Helper()
	if err := c.cmd.Process.Signal(sig); err != nil {
		t.Fatal(err)
	}
}

// The lock test that others fail: a process that holds the lock is stopped until
// its TTL is over, another takes the lock and increments, and the first continues.
// Without a fence its write undoes the other's; with one it is refused.
func TestStoppedHolder(t *testing.T) {
	t.Parallel()
	for _, fenced := range []string{"", "1"} {
		s := serve(t, "--data", t.TempDir())
		cl := newClient(t, s)
		cl.Put(t, "counter", "0")
		first := startHolder(t, s, holderFenced+"="+fenced)
		first.says(t, "read")
		first.signal(t, syscall.SIGSTOP)
		second := startHolder(t, s, holderFenced+"="+fenced) // waits until the TTL is over
		if n := second.says(t, "read"); n != 0 {
			t.Fatalf("the second holder read %d, want 0", n)
		}
		_, _ = io.WriteString(second.in, "go\n")
		if status := second.says(t, "wrote"); status != 200 {
			t.Fatalf("the second holder's write: status %d", status)
		}
		cl.Must(t, load.Call{Method: "PUT", Path: "/v1/kv/counter", Body: "2"}, 200)
		first.signal(t, syscall.SIGCONT)
		_, _ = io.WriteString(first.in, "go\n")
		status, counter := first.says(t, "wrote"), cl.Must(t, load.GetCall("counter"), 200).Body
		want, wantCounter := 200, "1" // two increments are lost
		if fenced != "" {
			want, wantCounter = 412, "2"
		}
		if status != want || counter != wantCounter {
			t.Errorf("fenced %q: the first holder's write got %d and left %s, want %d and %s", fenced, status, counter, want, wantCounter)
		}
	}
}

// If this failed, holders that are stopped at random while they increment a
// counter under a fenced lock, thousands of times, would lose increments.
func TestStoppedHoldersLoseNothing(t *testing.T) { stoppedHoldersLoseNothing(t, 1, 100) }

func TestProofStoppedHoldersLoseNothing(t *testing.T) {
	gate.Long(t)
	stoppedHoldersLoseNothing(t, 4, 500)
}

// stoppedHoldersLoseNothing stops a holder so many times, after each burst of
// increments.
func stoppedHoldersLoseNothing(t *testing.T, stops, burst int) {
	t.Parallel()
	s := serve(t, "--data", t.TempDir(), "--fsync", "interval")
	cl := newClient(t, s)
	cl.Put(t, "counter", "0")
	counter := func() int {
		n, err := strconv.Atoi(cl.Must(t, load.GetCall("counter"), 200).Body)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	var all []*child
	for range 3 {
		all = append(all, startHolder(t, s, holderFenced+"=1", holderLoops+"=1"))
	}
	rng := rand.New(rand.NewPCG(*seed, 11))
	for range stops {
		for target, over := counter()+burst, gate.Context(t); counter() < target; time.Sleep(time.Millisecond) {
			if over.Err() != nil {
				t.Fatalf("the counter stands at %d, want %d by now", counter(), target)
			}
		}
		c := all[rng.IntN(len(all))]
		c.signal(t, syscall.SIGSTOP)
		time.Sleep(holderTTL + 200*time.Millisecond) // past its TTL, wherever it was
		c.signal(t, syscall.SIGCONT)
	}
	sum := 0
	for _, c := range all {
		_ = c.in.Close()
		sum += c.says(t, "done")
	}
	t.Logf("%d increments", sum)
	if got := counter(); got != sum || sum < stops*burst {
		t.Errorf("%d increments were acknowledged and the counter is %d, want %d at least", sum, got, stops*burst)
	}
}
