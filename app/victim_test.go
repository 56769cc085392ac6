package app_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"keywatch/app"
	"keywatch/kv"
	"keywatch/persist/object"
)

// victimEnv makes the test binary a process that TestKilledAtEveryStep kills: it
// holds a plan in JSON.
const victimEnv = "KEYWATCH_TEST_VICTIM"

func TestMain(m *testing.M) {
	text := os.Getenv(victimEnv)
	if text == "" {
		os.Exit(m.Run())
	}
	if err := runVictim(text); err != nil {
		fmt.Println("error", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// victimTime is longer than any test run: the test ends its victims.
const victimTime = 24 * time.Hour

// A plan says where a process is to be killed, and what it must find.
type plan struct {
	Dir, Objects, Fsync string
	// Step is where it kills itself, when it comes there for the Nth time; if empty
	// it only looks and tidies.
	Step object.Step
	Nth  int32
	Seed uint64
	Keys map[string]history
}

// A history is what is known of the writes 1, 2, 3 and so on to a key: Acked is the
// last that was acknowledged, Tried the last that was begun.
type history struct{ Acked, Tried int }

// written returns what write n leaves behind; ok is false for nothing.
func written(key string, n int) (value string, ok bool) {
	return bulky(key, uint64(n)), n > 0 && n%6 != 0
}

// A victim is the process.
type victim struct {
	plan
	engine *app.Engine
	mu     sync.Mutex // orders what is printed
	hits   atomic.Int32
}

func runVictim(text string) error {
	v := &victim{}
	if err := json.Unmarshal([]byte(text), &v.plan); err != nil {
		return err
	}
	c := movingObjects(v.Dir).ObjectStep(v.at)
	c.ObjectStore, c.Fsync = v.Objects, v.Fsync
	e, err := app.Open(context.Background(), c)
	if err != nil {
		return err
	}
	v.engine = e
	if err := v.look(); err != nil {
		return err
	}
	if v.Step == "" {
		return errors.Join(v.finish(), e.Close())
	}
	return v.work()
}

// say prints a line at once: a pipe keeps what a killed process has written.
func (v *victim) say(args ...any) {
	v.mu.Lock()
	defer v.mu.Unlock()
	fmt.Println(args...)
}

// at is called between two steps.
func (v *victim) at(s object.Step) error {
	if s == v.Step && v.hits.Add(1) == v.Nth {
		v.say("killed", s)
		self, _ := os.FindProcess(os.Getpid())
		_ = self.Kill()
		select {}
	}
	return nil
}

// look compares everything with the histories.
func (v *victim) look() error {
	found := make(map[string]*kv.Entry)
	for item, err := range v.engine.List(context.Background(), "") {
		if err != nil {
			return fmt.Errorf("list %q: %w", item.Key, err)
		}
		found[item.Key] = item.Entry
	}
	for key, h := range v.Keys {
		e := found[key]
		delete(found, key)
		n := h.Acked
		for n <= h.Tried && !holds(e, key, n) {
			n++
		}
		if n > h.Tried {
			return fmt.Errorf("%s holds none of its writes %d to %d: %v", key, h.Acked, h.Tried, e)
		}
		v.Keys[key] = history{n, n}
		v.say("found", key, n)
	}
	for key := range found {
		return fmt.Errorf("nobody wrote %q", key)
	}
	return nil
}

// holds reports whether e is what write n to key leaves behind.
func holds(e *kv.Entry, key string, n int) bool {
	want, ok := written(key, n)
	return ok == (e != nil) && (!ok || e.Value() == want)
}

// work writes, reads, compacts and migrates until it is killed.
func (v *victim) work() error {
	ctx, cancel := context.WithTimeout(context.Background(), victimTime)
	defer cancel()
	failed := make(chan error, 4)
	for i := range 3 {
		go func() { failed <- v.use(ctx, uint64(i)) }()
	}
	go func() {
		for ctx.Err() == nil {
			if err := errors.Join(v.engine.Compact(ctx), v.engine.Checkpoint(ctx)); err != nil && ctx.Err() == nil {
				failed <- err
			}
		}
	}()
	if err := <-failed; err != nil {
		return err
	}
	return fmt.Errorf("it came to %q only %d times", v.Step, v.hits.Load())
}

// use is one writer, with keys of its own, which it reads too.
func (v *victim) use(ctx context.Context, i uint64) error {
	r, own := rand.New(rand.NewPCG(v.Seed, i)), make(map[string]int)
	for ctx.Err() == nil {
		key := fmt.Sprintf("w%d/%d", i, r.IntN(150))
		if _, known := own[key]; !known {
			own[key] = v.Keys[key].Acked
		}
		if r.IntN(2) == 0 {
			e, err := v.engine.Get(ctx, key)
			if err != nil && !passing(err) || err == nil && !holds(e, key, own[key]) {
				return fmt.Errorf("%s after write %d: %v, %w", key, own[key], e, err)
			}
			continue
		}
		n := own[key] + 1
		v.say("try", key, n)
		var err error
		if value, ok := written(key, n); ok {
			_, err = v.engine.Put(ctx, key, []byte(value))
		} else {
			_, err = v.engine.Delete(ctx, key)
		}
		if err == nil {
			own[key] = n
			v.say("done", key, n)
		} else if !errors.Is(err, kv.ErrMemoryFull) && ctx.Err() == nil {
			return err
		}
	}
	return nil
}

// passing reports whether the object store is in trouble, which is not the store's
// fault.
func passing(err error) bool {
	return errors.Is(err, kv.ErrTierUnavailable) || errors.Is(err, context.DeadlineExceeded)
}

// finish moves everything, and tidies until only what is referred to is left.
func (v *victim) finish() error {
	ctx, cancel := context.WithTimeout(context.Background(), victimTime)
	defer cancel()
	for {
		if err := v.engine.Migrate(ctx); err != nil && !passing(err) || ctx.Err() != nil {
			return fmt.Errorf("migrate: %w; %+v", errors.Join(err, ctx.Err()), v.engine.Status().Objects)
		} else if o := v.engine.Status().Objects; err == nil && o.Missing == 0 && o.Dead == 0 && o.Waiting == "" {
			break
		}
	}
	if err := v.look(); err != nil {
		return err
	}
	v.say("segments", "of", v.engine.Status().Objects.Segments)
	return nil
}
