package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"keywatch/kv"
	"keywatch/kv/wake"
	"keywatch/persist/disk"
	"keywatch/persist/object"
)

// objectFolder is where segments are by default, in the data folder.
const objectFolder = "objects"

// An objectTier is where values go that are not used for long. Its work is done by
// one loop and by requests for a migration; any goroutine may read.
type objectTier struct {
	engine *Engine
	url    string
	reader object.Reader
	// store records what is asked of bare with requests that are sampled.
	store, bare object.Store
	// moving is the mover, one for each time that this server leads: another server's claim ends it.
	moving atomic.Pointer[object.Mover]
	// wake says that there is more on disk than --disk-max.
	wake wake.Chan

	// The rest belongs to the loop.
	aged, tidied time.Time
	// term is the one for which the mover was made.
	term uint64
	// said is the last failure that was logged; empty if all went well since.
	said string
}

// openObjects opens the object store if there is one. Nothing is sent or made yet.
func (e *Engine) openObjects() error {
	c := &e.config
	url := c.ObjectStore
	if c.MemoryOnly {
		return nil
	}
	if url == "" {
		folder, err := filepath.Abs(filepath.Join(c.Data, objectFolder))
		if err != nil {
			return err
		}
		_, err = os.Stat(folder)
		if err != nil && c.ObjectAfter == 0 && c.DiskMax == 0 {
			return nil // never used, and not asked for
		}
		url = "dir://" + folder
	}
	store, err := object.Open(url, object.Options{Timeout: c.objectRead / 2})
	if err != nil {
		return fmt.Errorf("object-store: %w", err)
	}
	t := &objectTier{engine: e, url: url, bare: store, store: tracedStore{store}, wake: wake.New()}
	t.reader = object.Reader{Store: t.store, Timeout: c.objectRead, Check: t.check}
	e.objects = t
	return nil
}

// check tells whether the store is the one in which the values are.
func (t *objectTier) check(ctx context.Context) error {
	home := object.Home{
		Store: t.store, ID: object.StoreID(t.engine.disk.Store()),
		Segments: func() map[kv.SegmentID]kv.Live { return t.engine.state().Segments() }, Known: t.known,
	}
	return home.Check(ctx)
}

// known reports whether the data folder remembers the store as the one in which its
// values are.
func (t *objectTier) known() bool { return t.engine.disk.Objects() == t.engine.config.ObjectStore }

// adopted makes the data folder remember it.
func (t *objectTier) adopted() error { return t.engine.disk.UseObjects(t.engine.config.ObjectStore) }

// startObjects makes the mover, once commands can be proposed. It refuses to go on
// without the object store that values are in.
func (e *Engine) startObjects() error {
	if e.disk == nil {
		return nil
	}
	used := len(e.state().Segments()) > 0
	if err := e.haveObjects(used); err != nil || e.objects == nil {
		return err
	}
	if !used {
		if err := object.Make(e.objects.bare); err != nil {
			return fmt.Errorf("object-store: %w", err)
		}
	}
	e.objects.renew()
	e.objects.aged, e.objects.tidied = time.Now(), time.Now()
	return nil
}

// sharedKeep is how long an unused object is kept at least where a server that is behind may still read
// it.
const sharedKeep = time.Hour

// renew makes a mover.
func (t *objectTier) renew() {
	e := t.engine
	rests := &throttle{state: e.state, log: e.node, hold: e.config.objectHold}
	keep := e.config.BackupKeep
	if e.members != nil {
		keep = max(keep, sharedKeep)
	}
	t.moving.Store(object.NewMover(object.MoverOptions{
		Store: t.store, ID: object.StoreID(e.disk.Store()), Sole: e.config.ObjectStore == "",
		Known: t.known, Adopted: t.adopted, State: e.state, Log: rests, Rest: rests.rest,
		SegmentSize: int(e.config.SegmentSize), Keep: keep, Grace: e.config.objectGrace,
		Step: e.config.objectStep, Progress: &e.background.board,
	}))
}

// mover returns the mover.
func (t *objectTier) mover() *object.Mover { return t.moving.Load() }

// mine reports whether this server is the one that moves: of several the leader is. A new leadership has
// a new mover.
func (t *objectTier) mine() bool {
	if t.engine.members == nil {
		return true
	}
	term := t.engine.node.Leads()
	if term != 0 && term != t.term {
		t.term = term
		t.renew()
	}
	return term != 0
}

// haveObjects returns an error if values are in object storage that this start does not
// name, or in a folder of the data folder that is not there.
func (e *Engine) haveObjects(used bool) error {
	folder := filepath.Join(e.config.Data, objectFolder)
	if !used || e.config.ObjectStore != "" {
		return nil
	}
	if last := e.disk.Objects(); last != "" {
		return &disk.MisfitError{
			Kind: disk.ErrMissing, File: e.config.Data,
			Reason: "needs the object store that values of it are in: " + last,
			Remedy: "start with --object-store=" + last,
		}
	}
	if _, err := os.Stat(folder); errors.Is(err, fs.ErrNotExist) {
		return &disk.MisfitError{
			Kind: disk.ErrMissing, File: folder,
			Reason: "is missing: values are in it, or in an object store that this start does not name",
			Remedy: "put the folder back, or start with the --object-store that was used before",
		}
	}
	return nil
}

// objectLoop moves values by age and by pressure, and tidies, until ctx ends. What
// fails is tried again at the next turn; meanwhile values stay on disk.
func (e *Engine) objectLoop(ctx context.Context) {
	t := e.objects
	poll := time.NewTicker(e.config.objectPoll)
	defer poll.Stop()
	t.say(t.first(ctx))
	for {
		select {
		case <-poll.C:
		case <-t.wake:
		case <-ctx.Done():
			return
		}
		if !t.mine() {
			continue
		}
		if worked, err := t.turn(ctx); worked && ctx.Err() == nil {
			t.say(err)
		}
	}
}

// first looks whether the store is the right one, before a read or a move does, and has
// the data folder remember it if values are in it.
func (t *objectTier) first(ctx context.Context) error {
	err := t.mover().Check(ctx)
	if err == nil && len(t.engine.state().Segments()) > 0 {
		err = t.adopted()
	}
	return err
}

// say logs how the last turn went if that is news: a store can be away for days.
func (t *objectTier) say(err error) {
	now := ""
	if err != nil {
		now = err.Error()
	}
	switch {
	case now == t.said:
	case err != nil:
		t.engine.config.Logger.Error("object storage: it will be tried again", "store", t.url, "err", err)
	default:
		t.engine.config.Logger.Info("object storage works again")
	}
	t.said = now
}

// turn does what is due, and reports whether anything was. After a failure it asks
// first whether the store is there again.
func (t *objectTier) turn(ctx context.Context) (worked bool, err error) {
	c, now := &t.engine.config, t.engine.tuning.Load()
	if worked = t.said != ""; worked {
		if err := t.mover().Check(ctx); err != nil {
			return true, err
		}
	}
	if now.objectAfter > 0 && time.Since(t.aged) >= now.objectAfter {
		worked, t.aged = true, time.Now()
		if _, err := t.move(ctx, 0, idle); err != nil {
			return true, fmt.Errorf("move what is not used: %w", err)
		}
	}
	if now.diskMax > 0 && t.excess() > 0 {
		worked = true
		if err := t.relieve(ctx); err != nil {
			return true, fmt.Errorf("move what exceeds --disk-max: %w", err)
		}
	}
	if time.Since(t.tidied) >= c.objectTidy {
		worked, t.tidied = true, time.Now()
		if err := t.tidy(ctx); err != nil {
			return true, fmt.Errorf("tidy segments: %w", err)
		}
	}
	return worked, nil
}

// idle picks what was not touched since it was asked last, and marks the rest.
func idle(r kv.Resident) bool {
	if r.Tier() == kv.TierObject {
		return false
	}
	if r.Idle() {
		return true
	}
	r.Age()
	return false
}

// excess returns by how many bytes the checkpoint's records exceed --disk-max.
func (t *objectTier) excess() int64 {
	return t.engine.disk.Stats().LiveBytes - int64(t.engine.tuning.Load().diskMax)
}

// wakeMover has the loop look if there is too much on disk.
func (t *objectTier) wakeMover() {
	if t == nil || t.engine.tuning.Load().diskMax == 0 || t.excess() <= 0 {
		return
	}
	t.wake.Wake()
}

// relieve moves values while the checkpoint's records take more than --disk-max:
// first what has left memory, then the rest. A checkpoint gives the space free.
func (t *objectTier) relieve(ctx context.Context) error {
	excess := t.excess()
	if excess <= 0 {
		return nil
	}
	excess += int64(t.engine.tuning.Load().diskMax) / 10
	all := excess
	for _, tier := range []kv.Tier{kv.TierDisk, kv.TierMemory} {
		moved, err := t.move(ctx, excess, func(r kv.Resident) bool { return r.Tier() == tier })
		if err != nil {
			return err
		}
		if excess -= moved.Bytes; excess <= 0 {
			break
		}
	}
	if excess == all {
		return nil // there is nothing that can be moved
	}
	return t.engine.Checkpoint(ctx)
}

// errNoObjects is returned by what needs an object store where there is none.
var errNoObjects = fmt.Errorf("%w: there is no object store: start the server with --object-store, --object-after or --disk-max", kv.ErrTierUnavailable)

// Migrate moves all values that are large enough to object storage, tidies there,
// and gives up their space on disk to be used again. It fails with an error that
// matches kv.ErrTierUnavailable if the store cannot be written to; what was not
// moved stays on disk. Of several servers the leader does it, whichever is asked.
func (e *Engine) Migrate(ctx context.Context) error {
	if e.members != nil && e.node.Leads() == 0 {
		return e.members.relayMigration(ctx)
	}
	return e.migrate(ctx)
}

// migrate is Migrate on this server.
func (e *Engine) migrate(ctx context.Context) error {
	if e.objects == nil {
		return errNoObjects
	}
	// Only what a checkpoint holds is moved.
	if err := e.Checkpoint(ctx); err != nil {
		return err
	}
	_, err := e.objects.move(ctx, 0, func(r kv.Resident) bool { return r.Tier() != kv.TierObject })
	if err == nil {
		err = e.objects.tidy(ctx)
	}
	if errors.Is(err, object.ErrUnavailable) || errors.Is(err, object.ErrUnfit) || errors.Is(err, object.ErrTaken) {
		err = fmt.Errorf("%w: %w", kv.ErrTierUnavailable, err)
	}
	return errors.Join(err, e.Checkpoint(ctx))
}

// ObjectStatus is about object storage.
type ObjectStatus struct {
	Store string `json:"store"`
	// Segments counts those that keys refer to, LiveBytes the values in them;
	// StoredBytes is what all segments took when they were last listed.
	Segments    int   `json:"segments"`
	LiveBytes   int64 `json:"live_bytes"`
	StoredBytes int64 `json:"stored_bytes"`
	// LiveShare is the part of StoredBytes that LiveBytes are.
	LiveShare float64 `json:"live_share"`
	// Dead counts the segments that wait to be deleted, Missing those that are lost.
	Dead    int `json:"dead"`
	Missing int `json:"missing"`
	// The rest counts since the start.
	Moves      uint64 `json:"moves"`
	Moved      uint64 `json:"moved"`
	MovedBytes uint64 `json:"moved_bytes"`
	Uploads    uint64 `json:"uploads"`
	Deleted    uint64 `json:"deleted"`
	Errors     uint64 `json:"errors"`
	// Waiting says why the last attempt failed; empty if nothing waits. Of the values
	// that were due then WaitingValues stayed where they were, WaitingBytes in all.
	Waiting       string `json:"waiting,omitempty"`
	WaitingValues int64  `json:"waiting_values"`
	WaitingBytes  int64  `json:"waiting_bytes"`
}

func (t *objectTier) status() *ObjectStatus {
	s := t.mover().Stats()
	segments, live := t.engine.state().SegmentSums()
	o := &ObjectStatus{
		Store: t.url, Segments: segments, LiveBytes: live.Bytes, StoredBytes: s.Sweep.Bytes, Dead: s.Sweep.Waiting, Missing: s.Sweep.Missing,
		Moves: s.Moves, WaitingValues: s.Waiting.Values, WaitingBytes: s.Waiting.Bytes, Moved: s.Values, MovedBytes: s.Bytes, Uploads: s.Uploads, Deleted: s.Deleted, Errors: s.Errors, Waiting: s.Problem,
	}
	o.LiveShare = min(1, float64(o.LiveBytes)/float64(max(1, o.StoredBytes)))
	return o
}
