package e2e_test

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"keywatch/test/gate"
	"keywatch/test/load"
)

// The soak's size: the task "soak" runs it larger and for ten minutes.
var (
	soakTime   = flag.Duration("soak", 5*time.Second, "how long the soak reads and writes")
	soakMemory = flag.Int("soak-memory", 32, "the soak's --memory-max in MiB")
)

const (
	// soakValue is the length of the soak's values, soakClients how many read and
	// write at once, soakWrites one in how many requests writes.
	soakValue   = 4 << 10
	soakClients = 4
	soakWrites  = 5
	// soakPoll is the time between two looks at the process.
	soakPoll = 100 * time.Millisecond
	// statedSpare is what README says that the process takes beside 1.5 times
	// --memory-max, statedFiles what it has of mapped files: its own program, and
	// of the checkpoint.
	statedSpare = 64 << 20
	statedFiles = 96 << 20
)

// A soaked key is written by one client only: how many writes of it were begun,
// and how many were acknowledged.
type soaked struct{ begun, acked atomic.Int64 }

// A soak reads and writes a store that is four times its memory.
type soak struct {
	*server
	cl         *load.Client
	keys       []soaked
	gets, puts atomic.Uint64
	full       atomic.Uint64 // writes that were answered memory_full
	most       footprint
	looks      int
	memory     int64
	// attacked is set while others attack: then there may be no room for a request.
	attacked bool
}

// refused reports whether an answer says to try again.
func (s *soak) refused(a *load.Answer) bool {
	code := a.Problem().Code
	return a.Status == 503 && (code == "memory_full" || s.attacked && (code == "client_memory_full" || code == "queue_full"))
}

func soakKey(i int) string { return fmt.Sprintf("soak/%07d", i) }

// soakText is what the n-th write to key i writes.
func soakText(i int, n int64) string {
	r := rand.New(rand.NewPCG(uint64(i), uint64(n)))
	b := fmt.Appendf(nil, "key %d write %d ", i, n)
	for len(b) < soakValue {
		b = strconv.AppendUint(b, r.Uint64(), 36)
	}
	return string(b[:soakValue])
}

// put writes key i again. A store without room is asked again.
func (s *soak) put(ctx context.Context, t *testing.T, i int) {
	k := &s.keys[i]
	n := k.begun.Add(1)
	for ctx.Err() == nil {
		a, err := s.cl.Do(ctx, load.PutCall(soakKey(i), soakText(i, n)))
		switch {
		case err == nil && a.Status < 300:
			k.acked.Store(n)
			s.puts.Add(1)
			return
		case err == nil && s.refused(a):
			s.full.Add(1)
		case ctx.Err() == nil:
			t.Errorf("put %s: %v %+v", soakKey(i), err, a)
			return
		}
	}
}

// get reads key i: it must hold a write that was begun, and none that is older
// than what was acknowledged before.
func (s *soak) get(ctx context.Context, t *testing.T, i int) {
	k := &s.keys[i]
	least := k.acked.Load()
	a, err := s.cl.Do(ctx, load.GetCall(soakKey(i)))
	if ctx.Err() != nil || err == nil && s.refused(a) {
		return
	}
	if err != nil || a.Status != 200 {
		t.Errorf("get %s: %v %+v", soakKey(i), err, a)
		return
	}
	var key int
	var n int64
	_, err = fmt.Sscanf(a.Body, "key %d write %d ", &key, &n)
	if most := k.begun.Load(); err != nil || n < least || n > most || a.Body != soakText(i, n) {
		t.Errorf("%s holds %.60q (%v), want a write of %d to %d", soakKey(i), a.Body, err, least, most)
	}
	s.gets.Add(1)
}

// client reads by popularity, and writes those of its own keys that come up.
func (s *soak) client(ctx context.Context, t *testing.T, number int) {
	r := rand.New(rand.NewPCG(*seed, uint64(number)))
	zipf := rand.NewZipf(r, 1.07, 1, uint64(len(s.keys)-1))
	for ctx.Err() == nil && !t.Failed() {
		// The popular keys are spread over all: neighbours were written together.
		i := int(zipf.Uint64() * 7919 % uint64(len(s.keys)))
		if r.IntN(soakWrites) == 0 {
			s.put(ctx, t, min(i-i%soakClients+number, len(s.keys)-1-(len(s.keys)-1-number)%soakClients))
		} else {
			s.get(ctx, t, i)
		}
	}
}

// watch looks at the process until ctx ends, and keeps the most it took.
func (s *soak) watch(ctx context.Context, t *testing.T) {
	for poll := time.NewTicker(soakPoll); ; s.looks++ {
		f, err := footprintOf(s.cmd.Process.Pid)
		if err != nil {
			t.Error(err)
			return
		}
		s.most.grow(f)
		select {
		case <-poll.C:
		case <-ctx.Done():
			poll.Stop()
			return
		}
	}
}

// TestProofMemoryStaysBelowItsLimit: however long values four times --memory-max are
// read and written by popularity, the process's own memory stays below 1.5 times
// --memory-max and 64 MiB, and what it has mapped of files below 96 MiB, as README
// says; and every request is answered rightly. Then the same while others attack. The
// task "soak" runs both for ten minutes each.
func TestProofMemoryStaysBelowItsLimit(t *testing.T) {
	gate.Long(t)
	memory := int64(*soakMemory) << 20
	s := &soak{memory: memory, keys: make([]soaked, 4*memory/soakValue)}
	s.server = serve(t, "--data", t.TempDir(), "--memory-max", fmt.Sprint(memory), "--history", fmt.Sprint(memory/8), "--fsync", "interval")
	s.cl = newClient(t, s.server)
	filling, watched := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); s.watch(filling, t) }()
	began := time.Now()
	s.each(func(i int) { s.put(t.Context(), t, i) })
	t.Logf("%d values, %d MiB, written in %v", len(s.keys), int64(len(s.keys))*soakValue>>20, time.Since(began).Round(time.Millisecond))
	ctx, cancel := context.WithTimeout(t.Context(), *soakTime)
	defer cancel()
	before := s.tiers(t)
	s.puts.Store(0)
	s.each4(func(number int) { s.client(ctx, t, number) })
	s.underAttack(t)
	watched()
	<-done
	s.report(t, before)
}

// each calls f for every key, from all clients; each4 calls f for every client.
func (s *soak) each(f func(i int)) {
	s.each4(func(number int) {
		for i := number; i < len(s.keys); i += soakClients {
			f(i)
		}
	})
}

func (s *soak) each4(f func(number int)) {
	done := make(chan struct{})
	for number := range soakClients {
		go func() { f(number); done <- struct{}{} }()
	}
	for range soakClients {
		<-done
	}
}

// report says what was seen, and judges it.
func (s *soak) report(t *testing.T, before soakTiers) {
	t.Helper()
	after, mib := s.tiers(t), func(n int64) string { return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20)) }
	reads := after.reads() - before.reads()
	hits := after.Detail.Tiers.Memory.Reads - before.Detail.Tiers.Memory.Reads
	t.Logf("%v: %d gets, %d puts, %d times memory_full; %.2f %% of reads from memory", *soakTime, s.gets.Load(), s.puts.Load(),
		s.full.Load(), 100*float64(hits)/max(1, float64(reads)))
	own := s.memory + s.memory/2 + statedSpare
	t.Logf("at most, of %d looks: %s resident; %s own memory, of %s; %s mapped files, of %s", s.looks,
		mib(s.most.resident), mib(s.most.own), mib(own), mib(s.most.files), mib(statedFiles))
	t.Logf("counted now %s of %s; evictions %d, promotions %d", mib(after.Detail.Memory.Used), mib(after.Detail.Memory.Limit),
		after.Detail.Tiers.Evictions-before.Detail.Tiers.Evictions, after.Detail.Tiers.Promotions-before.Detail.Tiers.Promotions)
	if s.most.own > own || s.most.files > statedFiles {
		t.Errorf("the process took more than --memory-max %s allows", mib(s.memory))
	}
	if hits == reads || s.gets.Load() == 0 || s.puts.Load() == 0 || s.looks < 3 {
		t.Error("the test tests nothing")
	}
}

// soakTiers is what the server says of its tiers.
type soakTiers struct {
	ClientMemory struct{ Used map[string]int64 } `json:"client_memory"`

	Detail struct {
		Memory struct{ Used, Limit int64 }
		Tiers  struct {
			Memory, Disk, Object  struct{ Reads uint64 }
			Evictions, Promotions uint64
		}
	}
}

func (s soakTiers) reads() uint64 {
	t := &s.Detail.Tiers
	return t.Memory.Reads + t.Disk.Reads + t.Object.Reads
}

func (s *soak) tiers(t *testing.T) (v soakTiers) {
	t.Helper()
	if err := s.cl.Must(t, load.Call{Method: "GET", Path: "/v1/status"}, 200).Decode(&v); err != nil {
		t.Fatal(err)
	}
	return v
}

// A footprint is what a process has in memory, in bytes: pages of files that it
// has mapped, its own, and both.
type footprint struct{ resident, files, own int64 }

func (f *footprint) grow(g footprint) {
	f.resident, f.files, f.own = max(f.resident, g.resident), max(f.files, g.files), max(f.own, g.own)
}

// footprintOf asks the system.
func footprintOf(pid int) (f footprint, err error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return f, err
	}
	for line := range strings.Lines(string(b)) {
		name, rest, _ := strings.Cut(line, ":")
		into := map[string]*int64{"VmRSS": &f.resident, "RssFile": &f.files, "RssAnon": &f.own}[name]
		if into == nil {
			continue
		}
		n, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
		if err != nil {
			return f, fmt.Errorf("%q: %w", line, err)
		}
		*into = n << 10
	}
	if f.resident == 0 {
		return f, fmt.Errorf("process %d has no memory", pid)
	}
	return f, nil
}
