package persist_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"keywatch/kv"
	"keywatch/persist"
)

// errHook is what makes a transaction fail in tests.
var errHook = errors.New("injected failure of a transaction")

// A play is a random life of a store: writes, checkpoints that succeed, fail or are
// cancelled, compactions, restarts and crashes. Every restart is compared with what was.
type play struct {
	*rig
	rng *rand.Rand
	// failAt counts down to the transaction that fails; 0 for none.
	failAt int
	dirs   int
	ids    int
	leases int
	root   string
	// done counts what happened, so that a test can tell that it saw something.
	done map[string]int
}

func newPlay(t testing.TB, seed uint64, opts persist.Options) *play {
	p := &play{rng: rand.New(rand.NewPCG(seed, 7)), root: t.TempDir(), done: map[string]int{}}
	opts = persist.Hooked(opts, func(string) error {
		if p.failAt > 0 {
			if p.failAt--; p.failAt == 0 {
				return errHook
			}
		}
		return nil
	}, nil)
	p.rig = newRig(t, opts)
	p.params(kv.Params{TombstoneMax: 4, IdemAge: 3 * time.Second})
	return p
}

func (p *play) key() string { return fmt.Sprintf("%c/%d", 'a'+p.rng.IntN(3), p.rng.IntN(14)) }

// command returns a random write.
func (p *play) command() *kv.Command {
	key := p.key()
	switch p.rng.IntN(10) {
	case 0, 1, 2:
		return del(key)
	case 3:
		return put(key, "short-lived", time.Duration(1+p.rng.IntN(3000))*time.Millisecond)
	case 4:
		c := put(key, "once", 0)
		p.ids++
		c.Idem = kv.Idem{Caller: "c", Key: fmt.Sprint(p.rng.IntN(p.ids)), Fingerprint: [16]byte{1}}
		return c
	case 5:
		e, _ := p.state.Get(key)
		c := put(key, "swapped", 0)
		c.Checks = []kv.Check{{Kind: kv.CheckRev, Key: key}}
		if e != nil && p.rng.IntN(2) == 0 {
			c.Checks[0].N = uint64(e.Mod)
		}
		return c
	case 6:
		c := put(p.key()+"/x", "batch", 0)
		c.Ops = append(c.Ops, kv.Op{Kind: kv.OpPut, Key: key, Value: []byte("batch")}, kv.Op{Kind: kv.OpDelete, Key: p.key() + "/y"})
		return c
	case 7:
		if p.rng.IntN(4) == 0 {
			prefix := fmt.Sprintf("%c/", 'a'+p.rng.IntN(3))
			return &kv.Command{Prefix: &prefix}
		}
	case 8:
		if p.rng.IntN(3) == 0 {
			return p.privateCommand()
		}
		return p.leaseCommand()
	}
	return put(key, strings.Repeat("x", p.rng.IntN(60)), 0)
}

// step does one random thing and returns what was wrong.
func (p *play) step() error {
	switch n := p.rng.IntN(100); {
	case n < 70:
		p.time += int64(p.rng.IntN(400))
		var commands []*kv.Command
		for range 1 + p.rng.IntN(3) {
			commands = append(commands, p.command())
		}
		p.do(commands...)
	case n < 86:
		return p.stepCheckpoint()
	case n < 88:
		return p.stepCompact()
	case n < 94:
		p.done["restart"]++
		want := dump(p.t, p.state, false)
		if err := p.db.Close(true); err != nil {
			return err
		}
		return p.compare("restart", want)
	default:
		p.done["crash"]++
		want := dump(p.t, p.state, false)
		p.dirs++
		r := p.copyTo(mkdir(p.t, p.root, p.dirs))
		p.db.Close(false)
		r.index = p.index
		p.rig = r
		return p.compare("crash", want)
	}
	return nil
}

func mkdir(t testing.TB, root string, n int) string {
	t.Helper()
	dir := filepath.Join(root, fmt.Sprint(n))
	mustMkdir(t, dir)
	return dir
}

// compare opens the folder and compares the state with what it was.
func (p *play) compare(what string, want []string) error {
	if err := p.tryOpen(); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	if d := diff(dump(p.t, p.state, false), want); d != "" {
		return fmt.Errorf("%s: %s", what, d)
	}
	return nil
}

// stepCheckpoint makes a checkpoint, one in three of which fails, and compares the file with
// the state if it did not.
func (p *play) stepCheckpoint() error {
	if p.rng.IntN(3) == 0 {
		p.failAt = 1 + p.rng.IntN(6)
	}
	before, _ := p.db.Meta()
	err := p.checkpoint()
	p.failAt = 0
	if errors.Is(err, errHook) {
		p.done["failed checkpoint"]++
		if after, _ := p.db.Meta(); after != before {
			return fmt.Errorf("failed checkpoint moved the meta from %+v to %+v", before, after)
		}
		return nil
	}
	if err != nil {
		return err
	}
	p.done["checkpoint"]++
	if s := p.db.Stats(); s.Sweeps > 0 {
		p.done["sweep"]++
	}
	if p.rng.IntN(2) == 0 {
		p.trimLog()
	}
	return p.compareFile()
}

// compareFile loads the file alone, which must be what the state is, deletions included.
func (p *play) compareFile() error {
	image := filepath.Join(p.root, "image")
	img, err := p.db.OpenBackup()
	if err != nil {
		return err
	}
	saveTo(p.t, image, img)
	img.Close()
	state := kv.NewState(kv.StateOptions{Presize: 1})
	if _, err := persist.LoadFile(image, state); err != nil {
		return fmt.Errorf("checkpoint file: %w", err)
	}
	if d := diff(dump(p.t, state, true), dump(p.t, p.state, true)); d != "" {
		return fmt.Errorf("checkpoint file: %s", d)
	}
	return nil
}

func (p *play) stepCompact() error {
	if p.rng.IntN(2) == 0 {
		p.failAt = 1 + p.rng.IntN(5)
	}
	err := p.db.Compact(p.t.Context())
	p.failAt = 0
	if err != nil && !errors.Is(err, errHook) {
		return err
	}
	p.done["compact"]++
	return nil
}

// run plays n steps and returns what was wrong first.
func (p *play) run(n int) error {
	for i := range n {
		if err := p.step(); err != nil {
			return fmt.Errorf("step %d: %w", i, err)
		}
	}
	return nil
}

// If this failed, some order of writes, checkpoints, failures, sweeps and crashes would bring
// deleted keys back, lose keys, or change a number.
func TestCheckpointHistories(t *testing.T) {
	for seed := range uint64(5) {
		p := newPlay(t, seed, tight)
		if err := p.run(250); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		for _, what := range []string{"checkpoint", "failed checkpoint", "sweep", "restart", "crash", "compact"} {
			if p.done[what] == 0 {
				t.Errorf("seed %d: no %s happened", seed, what)
			}
		}
	}
}

// If this failed, TestCheckpointHistories could not see deleted keys return.
func TestCheckpointHistoriesSeeEarlyBurial(t *testing.T) {
	for seed := range uint64(20) {
		p := newPlay(t, seed, persist.Early(tight))
		if err := p.run(300); err != nil {
			t.Logf("seed %d: %v", seed, err)
			return
		}
	}
	t.Fatal("deletion records were dropped while older ranges held what they hide, and nothing was noticed")
}
