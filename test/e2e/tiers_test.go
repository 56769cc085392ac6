package e2e_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"keywatch/test/gate"
	"keywatch/test/load"
)

// tiersMemory is the memory of TestStoreLargerThanItsTiers in MiB.
var tiersMemory = flag.Int("tiers-memory", 4, "MiB of memory for the store that is filled tenfold")

const (
	// hoardValue is about how long its values are, in bytes.
	hoardValue = 16 << 10
	// hoardClients is how many write and read at once.
	hoardClients = 4
)

// A hoard is a store that is larger than its memory and its disk, and what it must
// hold: for each key the number of its last write, below 0 if it was deleted.
type hoard struct {
	*restarter
	cl     *load.Client
	writes []int
	taken  atomic.Int64 // writes that were acknowledged
}

// hoardKey names the i-th key.
func hoardKey(i int) string { return fmt.Sprintf("hoard/%06d", i) }

// hoardText is what the n-th write to key i has written: text that does not repeat.
func hoardText(i, n int) string {
	r := rand.New(rand.NewPCG(uint64(i), uint64(n)))
	var b strings.Builder
	fmt.Fprintf(&b, "key %d write %d ", i, n)
	for b.Len() < hoardValue {
		fmt.Fprintf(&b, "%016x", r.Uint64())
	}
	return b.String()
}

// each calls f for every key, from several goroutines.
func (h *hoard) each(f func(i int)) {
	var running sync.WaitGroup
	for c := range hoardClients {
		running.Go(func() {
			for i := c; i < len(h.writes); i += hoardClients {
				f(i)
			}
		})
	}
	running.Wait()
}

// write sends c until there is room for it, again to the next server if one was
// killed. It reports whether it was acknowledged.
func (h *hoard) write(t *testing.T, c load.Call) bool {
	ctx := gate.Context(t)
	for again := false; ; {
		from := h.server()
		a, err := h.cl.Do(ctx, c)
		switch {
		case err == nil && (a.Status < 300 || again && c.Method == "DELETE" && a.Status == 404):
			h.taken.Add(1)
			return true
		case err == nil && a.Status == 503 && a.Problem().Code == "memory_full":
		case err != nil && h.after(ctx, from) != nil:
			again = true // it may have been applied
		default:
			t.Errorf("%s %s: %v %+v", c.Method, c.Path, err, a)
			return false
		}
	}
}

// fillAndKill fills the store, and kills it on the way, when half of the values are
// written and the first have been moved.
func (h *hoard) fillAndKill(t *testing.T) {
	filled := make(chan struct{})
	go func() { defer close(filled); h.fill(t) }()
	full := func(full func() bool) {
		gate.Until(t, func() bool { return t.Failed() || full() }, "the store does not get full")
	}
	full(func() bool { return h.taken.Load() >= int64(len(h.writes)/2) })
	moving := make(chan struct{})
	go func() {
		defer close(moving)
		_, _ = h.cl.Do(gate.Context(t), load.Call{Method: "POST", Path: "/v1/admin/migrate"}) // the kill ends it
	}()
	full(func() bool { return h.status(t).Detail.Objects.Segments > 0 })
	h.server().kill()
	t.Logf("killed after %d writes", h.taken.Load())
	<-moving
	h.restart(t)
	<-filled
}

// fill writes every key, then changes or deletes some.
func (h *hoard) fill(t *testing.T) {
	h.each(func(i int) { h.write(t, load.PutCall(hoardKey(i), hoardText(i, 0))) })
	h.each(func(i int) {
		switch {
		case i%10 == 3 && h.write(t, load.PutCall(hoardKey(i), hoardText(i, 1))):
			h.writes[i] = 1
		case i%50 == 7 && h.write(t, load.Call{Method: "DELETE", Path: "/v1/kv/" + hoardKey(i)}):
			h.writes[i] = -1
		}
	})
}

// readAll compares every value, and counts where they were.
func (h *hoard) readAll(t *testing.T) (tiers map[string]int) {
	var mu sync.Mutex
	tiers = make(map[string]int)
	ctx := gate.Context(t)
	h.each(func(i int) {
		a, err := h.cl.Do(ctx, load.GetCall(hoardKey(i)))
		switch n := h.writes[i]; {
		case err != nil:
			t.Errorf("%s: %v", hoardKey(i), err)
		case n < 0 && a.Status != 404:
			t.Errorf("%s was deleted, and is answered %d", hoardKey(i), a.Status)
		case n >= 0 && (a.Status != 200 || a.Body != hoardText(i, n)):
			t.Errorf("%s, write %d: status %d, %.80q", hoardKey(i), n, a.Status, a.Body)
		case n >= 0:
			mu.Lock()
			tiers[a.Header.Get("Keywatch-Tier")]++
			mu.Unlock()
		}
	})
	return tiers
}

// hoardStatus is what the server says of its tiers.
type hoardStatus struct {
	Detail struct {
		Memory     struct{ Used, Limit int64 }
		Checkpoint struct {
			LiveBytes int64 `json:"live_bytes"`
			FileBytes int64 `json:"file_bytes"`
		}
		Objects struct {
			Segments, Missing int
			LiveBytes         int64 `json:"live_bytes"`
			Waiting           string
		}
	}
}

func (h *hoard) status(t *testing.T) (s hoardStatus) {
	t.Helper()
	if err := h.cl.Must(t, load.Call{Method: "GET", Path: "/v1/status"}, 200).Decode(&s); err != nil {
		t.Fatal(err)
	}
	return s
}

// settle waits until the disk is below its limit.
func (h *hoard) settle(t *testing.T, most int64) (s hoardStatus) {
	t.Helper()
	gate.Until(t, func() bool {
		s = h.status(t)
		return s.Detail.Checkpoint.LiveBytes <= most
	}, "the disk does not get below its limit of %d bytes: %s", most, func() string { return fmt.Sprintf("%+v", s) })
	return s
}

// TestProofStoreLargerThanItsTiers: a store of ten times its memory and twice its disk
// limit takes every write, keeps both limits, and gives every value back, although
// it was killed while it was filled, and once more after. The task "tiers" runs it
// larger.
func TestProofStoreLargerThanItsTiers(t *testing.T) {
	gate.Long(t)
	t.Parallel()
	memory := int64(*tiersMemory) << 20
	disk := 5 * memory
	h := &hoard{writes: make([]int, 10*memory/hoardValue)}
	h.restarter = keep(t, t.TempDir(), "--memory-max", fmt.Sprint(memory), "--history", fmt.Sprint(memory/4),
		"--disk-max", fmt.Sprint(disk), "--segment-size", "4MiB", "--checkpoint-bytes", fmt.Sprint(memory/4), "--fsync", "interval")
	h.cl = h.client(t)
	began := time.Now()
	h.fillAndKill(t)
	t.Logf("%d values, %d MiB, written in %v", len(h.writes), 10*memory>>20, time.Since(began).Round(time.Millisecond))
	s := h.settle(t, disk)
	t.Logf("%.1f MiB on disk, in a file of %.1f MiB, after %v; %.1f MiB in %d segments", float64(s.Detail.Checkpoint.LiveBytes)/(1<<20),
		float64(s.Detail.Checkpoint.FileBytes)/(1<<20), time.Since(began).Round(time.Second), float64(s.Detail.Objects.LiveBytes)/(1<<20), s.Detail.Objects.Segments)
	h.check(t, "filled")
	h.server().kill()
	h.restart(t)
	h.check(t, "restarted after a kill")
}

// check reads everything back.
func (h *hoard) check(t *testing.T, when string) {
	t.Helper()
	began := time.Now()
	tiers := h.readAll(t)
	s := h.status(t)
	if s.Detail.Memory.Used > s.Detail.Memory.Limit+s.Detail.Memory.Limit/4 {
		t.Errorf("%s: %d bytes of memory in use, the limit is %d", when, s.Detail.Memory.Used, s.Detail.Memory.Limit)
	}
	if tiers["object"] == 0 || tiers["disk"]+tiers["memory"] == 0 || s.Detail.Objects.Missing > 0 || s.Detail.Objects.Waiting != "" {
		t.Errorf("%s: the test tests nothing, or something is wrong: %v %+v", when, tiers, s.Detail.Objects)
	}
	t.Logf("%s: all read back in %v, from %v; %.1f of %.1f MiB of memory counted, %s resident", when,
		time.Since(began).Round(time.Millisecond), tiers, float64(s.Detail.Memory.Used)/(1<<20),
		float64(s.Detail.Memory.Limit)/(1<<20), h.resident())
}

// resident returns what the system says that the process takes, for people.
func (h *hoard) resident() string {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", h.server().cmd.Process.Pid))
	if err != nil {
		return "unknown"
	}
	for line := range strings.Lines(string(b)) {
		if size, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			return strings.TrimSpace(size)
		}
	}
	return "unknown"
}
