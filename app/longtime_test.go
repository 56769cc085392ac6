package app_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"keywatch/app"
	"keywatch/kv"
	"keywatch/test/gate"
)

// ages is how long TestProofEngineLongTime runs.
var ages = flag.Duration("longtime", 25*time.Second, "how long the proof of long times goes on")

// A longTime is an engine on real files, with its clock, its background work and its watchers,
// of which weeks pass in a minute: it runs in a bubble whose time passes when all goroutines wait.
// In each phase crowds of keys, leases, outcomes, deletions and waits for locks come and end,
// between hours of quiet, restarts, crashes, compactions and migrations, until nothing is left.
type longTime struct {
	t      *testing.T
	seed   uint64
	rng    *rand.Rand
	root   string
	config app.Config
	dirs   int
	*app.Engine
	// ends has, for each key with a time to live, from when on it may be gone, and its value.
	ends map[string]promise
	told *told
	// drawn counts names that are used once, waits the requests for locks under way.
	drawn  int
	waits  atomic.Int64
	tokens map[string]*atomic.Uint64
	done   map[string]int
}

// A promise is what a key holds until it may be gone.
type promise struct {
	value string
	until time.Time
}

func newLongTime(t *testing.T, seed uint64, root string) *longTime {
	l := &longTime{
		t: t, seed: seed, rng: rand.New(rand.NewPCG(seed, 13)), root: root,
		ends: make(map[string]promise), told: new(told), done: make(map[string]int), tokens: make(map[string]*atomic.Uint64),
	}
	for i := range 3 {
		l.tokens[fmt.Sprint("lock", i)] = new(atomic.Uint64)
	}
	l.config = tightMemory(l.newDir())
	l.config.ObjectAfter, l.config.DiskMax, l.config.SegmentSize = 20*time.Minute, 200<<10, 32<<10
	l.config.FsyncInterval = time.Hour // no power is lost here
	l.config.BackupKeep, l.config.TombstoneMax = time.Minute, 500
	l.config = l.config.ObjectsHard(10 * time.Second)
	l.open()
	return l
}

func (l *longTime) newDir() string {
	l.dirs++
	return filepath.Join(l.root, fmt.Sprint("data", l.dirs))
}

func (l *longTime) open() {
	e, err := app.Open(l.t.Context(), l.config)
	if err != nil {
		l.fatal("open: %v", err)
	}
	l.Engine = e
	l.told.follow(e)
}

func (l *longTime) close() {
	if err := l.Close(); err != nil {
		l.fatal("close: %v", err)
	}
	<-l.told.ended
}

func (l *longTime) fatal(format string, args ...any) {
	l.t.Helper()
	l.t.Fatalf("seed %d: %s", l.seed, fmt.Sprintf(format, args...))
}

// do runs a command, which must not fail.
func (l *longTime) do(c *kv.Command) kv.Result {
	l.t.Helper()
	r, err := l.Do(l.t.Context(), c)
	if err != nil {
		l.fatal("%+v: %v", c, err)
	}
	return r
}

func (l *longTime) name(kind string) string {
	l.drawn++
	return fmt.Sprint(kind, "/", l.drawn)
}

// minutes returns a random time of up to n minutes.
func (l *longTime) minutes(n int) time.Duration {
	return time.Duration(1+l.rng.IntN(n*60_000)) * time.Millisecond
}

// put writes a key that ends after ttl, or with a lease that does.
func (l *longTime) put(key string, ttl time.Duration, lease kv.LeaseID, until time.Time) *kv.Command {
	value := strings.Repeat("v", []int{1, 70, 1000, 4000}[l.rng.IntN(4)])
	l.ends[key] = promise{value, until}
	return &kv.Command{Ops: []kv.Op{{Kind: kv.OpPut, Key: key, Value: []byte(value), TTL: ttl, Lease: lease}}}
}

// pause passes a little time, now and then.
func (l *longTime) pause() {
	if l.rng.IntN(10) == 0 {
		time.Sleep(l.minutes(1))
	}
}

// something does one of the things that happen to a server.
func (l *longTime) something() {
	switch l.rng.IntN(8) {
	case 0:
		l.done["restart"]++
		l.close()
		l.open()
	case 1:
		l.crash()
	case 2:
		l.done["compact"]++
		l.must("compact", l.Compact(l.t.Context()))
	case 3:
		l.done["migrate"]++
		l.must("migrate", l.Migrate(l.t.Context()))
	case 4:
		l.done["backup"]++
		_, err := l.FullBackup(l.t.Context(), discard{})
		l.must("backup", err)
	case 5:
		l.queue(1 + l.rng.IntN(20))
	case 6:
		time.Sleep(l.minutes(5))
	case 7:
		l.done["quiet"]++
		time.Sleep(l.minutes(40))
	}
	l.judge()
}

type discard struct{}

func (discard) Write(b []byte) (int, error) { return len(b), nil }

func (l *longTime) must(what string, err error) {
	l.t.Helper()
	if err != nil {
		l.fatal("%s: %v", what, err)
	}
}

// crash continues with a copy of the folder as it is, as after the end of the process.
func (l *longTime) crash() {
	l.done["crash"]++
	synctest.Wait() // nothing is being written
	dir := l.newDir()
	l.must("copy", os.CopyFS(dir, os.DirFS(l.config.Data)))
	l.close()
	l.must("remove", os.RemoveAll(l.config.Data))
	l.config.Data = dir
	l.open()
}

// judge compares what is there with what must be there, and with what the watcher was told.
func (l *longTime) judge() {
	l.t.Helper()
	var have map[string]string
	for tries := 0; ; tries++ { // something may end between the list and the look at the watcher
		synctest.Wait()
		have = l.list()
		synctest.Wait()
		wrong := l.told.compare(have)
		if wrong == "" {
			break
		}
		if tries == 100 {
			l.fatal("the watcher %s", wrong)
		}
	}
	now := time.Now()
	for key, p := range l.ends {
		if value, ok := have[key]; ok && value != p.value || !ok && now.Before(p.until) {
			l.fatal("%s is there: %v, with %d bytes; it must hold %d bytes until %v", key, ok, len(value), len(p.value), p.until.Sub(now))
		}
	}
}

// list returns what is there.
func (l *longTime) list() map[string]string {
	l.t.Helper()
	have := make(map[string]string)
	for item, err := range l.List(l.t.Context(), "") {
		l.must("list", err)
		have[item.Key] = item.Entry.Value()
	}
	return have
}

// phase has crowds come and end.
func (l *longTime) phase(most int) {
	for range 2 + l.rng.IntN(5) {
		l.arrive(1 + l.rng.IntN(most))
		l.something()
	}
	for range l.rng.IntN(4) {
		l.something()
	}
	// After an hour and a half all that has a time to live, a lease or a lock has ended.
	time.Sleep(90 * time.Minute)
	if n := l.waits.Load(); n > 0 {
		l.fatal("%d requests for locks wait still", n)
	}
	clear(l.ends)
	l.judge()
	l.empty()
}

// empty checks that everything has ended, and that nothing is left once it is forgotten.
func (l *longTime) empty() {
	state := l.Store().State()
	if s := state.Stats(); s.Keys+s.Deadlines+s.Leases+s.Locks+s.LockWaiters > 0 {
		l.fatal("everything has ended, and there is %+v", s)
	}
	// Deletions are forgotten with the next writes, and files and objects follow: the sweep
	// after each checkpoint takes one more range of the file.
	time.Sleep(2 * time.Hour)
	for ticks := 0; ticks < 2 || l.Status().Checkpoint.Records > 1; ticks++ {
		if ticks > 50 {
			l.fatal("everything is forgotten, and the checkpoint has %+v", l.Status().Checkpoint)
		}
		l.do(&kv.Command{Ops: []kv.Op{{Kind: kv.OpPut, Key: "tick"}}})
		l.do(&kv.Command{Ops: []kv.Op{{Kind: kv.OpDelete, Key: "tick"}}})
		time.Sleep(time.Hour)
	}
	l.must("migrate", l.Migrate(l.t.Context()))
	time.Sleep(time.Hour)
	s, m := state.Stats(), state.Memory()
	if s.Tombstones > 1 || s.IdemRecords > 0 || m.Values > 0 || m.Idem > 0 || m.Kept > 0 {
		l.fatal("everything is forgotten, and there is %+v, %+v", s, m)
	}
	if o := l.Status().Objects; o.Segments > 0 || o.StoredBytes > 0 || o.Missing > 0 {
		l.fatal("everything is forgotten, and there are objects: %+v", o)
	}
	l.done["empty"]++
}

// liveLong runs phases in a bubble while more says so.
func liveLong(t *testing.T, seed uint64, most int, more func(phase int) bool) {
	root := t.TempDir()
	var phase atomic.Int64
	began := time.Now()
	dog := time.NewTicker(longTimeWatchdog)
	defer dog.Stop()
	over := make(chan struct{})
	defer close(over)
	go func() {
		for last := int64(-1); ; last = phase.Load() {
			select {
			case <-over:
				return
			case <-dog.C:
			}
			if last == phase.Load() {
				debug.SetTraceback("all")
				panic(fmt.Sprintf("seed %d: phase %d does not end", seed, last))
			}
		}
	}()
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(began.Round(0))) // files have times of the world outside
		first := time.Now()
		l := newLongTime(t, seed, root)
		defer func() { l.Close() }()
		for more(int(phase.Load())) {
			l.phase(most)
			phase.Add(1)
		}
		l.close()
		t.Logf("seed %d: %.1f days in %d phases: %v", seed, time.Since(first).Hours()/24, phase.Load(), l.done)
	})
}

// longTimeWatchdog is how long a phase may take before all goroutines are shown: it is not how
// quick it must be.
const longTimeWatchdog = 5 * time.Minute

// If this failed, a server that is left alone for a day could be found stuck, or with something
// that ended long ago.
func TestEngineLongTime(t *testing.T) {
	liveLong(t, 1, 60, func(phase int) bool { return phase < 2 })
}

// TestProofEngineLongTime is TestEngineLongTime for longer, with a seed a phase.
func TestProofEngineLongTime(t *testing.T) {
	gate.Long(t)
	seed := gate.Seed(t)
	for end := time.Now().Add(*ages); time.Now().Before(end) && !t.Failed(); seed++ {
		liveLong(t, seed, 300, func(phase int) bool { return phase < 6 })
	}
}
