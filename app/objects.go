package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"keywatch/kv"
	"keywatch/kv/wake"
	"keywatch/persist/object"
)

const (
	// objectFolder is where segments lie by default, in the data folder.
	objectFolder = "objects"
	// storeIDFile names the store in the data folder: segments bear its id.
	storeIDFile = "store-id"
)

// An objectTier is where values go that are not used for long. Its work is done by
// one loop and by whoever asks for a migration; reading is for all.
type objectTier struct {
	engine *Engine
	url    string
	reader object.Reader
	store  object.Store
	mover  *object.Mover // set before the loop runs
	// wake says that there is more on disk than --disk-max.
	wake wake.Chan

	// The rest belongs to the loop.
	aged, tidied time.Time
	// said is the last failure that was logged; empty if all went well since.
	said string
}

// openObjects opens the object store if there is one. Nothing is sent yet.
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
	e.objects = &objectTier{
		engine: e, url: url, store: store, wake: wake.New(),
		reader: object.Reader{Store: store, Timeout: c.objectRead},
	}
	return nil
}

// startObjects makes the mover, once commands can be proposed.
func (e *Engine) startObjects() error {
	if e.objects == nil {
		return nil
	}
	id, err := storeID(e.config.Data)
	if err != nil {
		return err
	}
	rests := &throttle{state: e.state, log: e.node, hold: e.config.objectHold}
	e.objects.mover = object.NewMover(object.MoverOptions{
		Store: e.objects.store, ID: id, Sole: e.config.ObjectStore == "", State: e.state, Log: rests, Rest: rests.rest,
		SegmentSize: int(e.config.SegmentSize), Keep: e.config.BackupKeep, Grace: e.config.objectGrace,
		Step: e.config.objectStep,
	})
	e.objects.aged, e.objects.tidied = time.Now(), time.Now()
	return nil
}

// storeID returns the store's id, which it draws at the first start.
func storeID(data string) (object.StoreID, error) {
	path := filepath.Join(data, storeIDFile)
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return drawStoreID(path)
	}
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseUint(strings.TrimSpace(string(b)), 16, 64)
	if err != nil || n == 0 {
		return 0, fmt.Errorf("%s: not a store's id; remove it to have a new one drawn: segments of the old one are then copied", path)
	}
	return object.StoreID(n), nil
}

func drawStoreID(path string) (object.StoreID, error) {
	w := object.NewWriter()
	var id object.StoreID
	for _, b := range w[:8] {
		id = id<<8 | object.StoreID(b)
	}
	id |= 1 // not 0
	f, err := os.CreateTemp(filepath.Dir(path), storeIDFile+".*")
	if err != nil {
		return 0, err
	}
	defer os.Remove(f.Name())
	_, err = f.WriteString(id.String() + "\n")
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return 0, err
	}
	return id, os.Rename(f.Name(), path)
}

// objectLoop moves values by age and by pressure, and tidies, until the engine
// stops. What fails is tried again at the next turn; meanwhile values stay on disk.
func (e *Engine) objectLoop() {
	t := e.objects
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	e.running.Go(func() {
		<-e.stop
		cancel()
	})
	poll := time.NewTicker(e.config.objectPoll)
	defer poll.Stop()
	for {
		select {
		case <-poll.C:
		case <-t.wake:
		case <-e.stop:
			return
		}
		if err := t.turn(ctx); ctx.Err() == nil {
			t.say(err)
		}
	}
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
		t.engine.config.Logger.Error("object storage: it will be tried again", "err", err)
	default:
		t.engine.config.Logger.Info("object storage works again")
	}
	t.said = now
}

// turn does what is due.
func (t *objectTier) turn(ctx context.Context) error {
	c := &t.engine.config
	if c.ObjectAfter > 0 && time.Since(t.aged) >= c.ObjectAfter {
		t.aged = time.Now()
		if _, err := t.mover.Move(ctx, 0, idle); err != nil {
			return fmt.Errorf("move what is not used: %w", err)
		}
	}
	if c.DiskMax > 0 {
		if err := t.relieve(ctx); err != nil {
			return fmt.Errorf("move what exceeds --disk-max: %w", err)
		}
	}
	if time.Since(t.tidied) >= c.objectTidy {
		t.tidied = time.Now()
		if _, err := t.mover.Tidy(ctx); err != nil {
			return fmt.Errorf("tidy segments: %w", err)
		}
	}
	return nil
}

// idle picks what nobody has touched since it was asked last, and marks the rest.
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
	return t.engine.disk.Stats().LiveBytes - int64(t.engine.config.DiskMax)
}

// wakeMover has the loop look if there is too much on disk.
func (t *objectTier) wakeMover() {
	if t == nil || t.engine.config.DiskMax == 0 || t.excess() <= 0 {
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
	excess += int64(t.engine.config.DiskMax) / 10
	all := excess
	for _, tier := range []kv.Tier{kv.TierDisk, kv.TierMemory} {
		moved, err := t.mover.Move(ctx, excess, func(r kv.Resident) bool { return r.Tier() == tier })
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
	return t.engine.checkpoint()
}

// errNoObjects is returned by what needs an object store where there is none.
var errNoObjects = fmt.Errorf("%w: there is no object store: start the server with --object-store, --object-after or --disk-max", kv.ErrTierUnavailable)

// Migrate moves all values that are large enough to object storage, tidies there,
// and gives up their space on disk to be used again. It fails with an error that
// matches kv.ErrTierUnavailable if the store cannot be written to; what was not
// moved stays on disk.
func (e *Engine) Migrate(ctx context.Context) error {
	if e.objects == nil {
		return errNoObjects
	}
	// Only what a checkpoint holds is moved.
	if err := e.checkpoint(); err != nil {
		return err
	}
	_, err := e.objects.mover.Move(ctx, 0, func(r kv.Resident) bool { return r.Tier() != kv.TierObject })
	if err == nil {
		_, err = e.objects.mover.Tidy(ctx)
	}
	if errors.Is(err, object.ErrUnavailable) || errors.Is(err, object.ErrUnfit) || errors.Is(err, object.ErrTaken) {
		err = fmt.Errorf("%w: %w", kv.ErrTierUnavailable, err)
	}
	return errors.Join(err, e.checkpoint())
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
	s := t.mover.Stats()
	segments, live := t.engine.state.SegmentSums()
	o := &ObjectStatus{
		Store: t.url, Segments: segments, LiveBytes: live.Bytes, StoredBytes: s.Sweep.Bytes, Dead: s.Sweep.Waiting, Missing: s.Sweep.Missing,
		Moves: s.Moves, WaitingValues: s.Waiting.Values, WaitingBytes: s.Waiting.Bytes, Moved: s.Values, MovedBytes: s.Bytes, Uploads: s.Uploads, Deleted: s.Deleted, Errors: s.Errors, Waiting: s.Problem,
	}
	o.LiveShare = min(1, float64(o.LiveBytes)/float64(max(1, o.StoredBytes)))
	return o
}
