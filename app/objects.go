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
	"keywatch/persist/object"
)

const (
	// objectRead bounds the reading of one value from object storage, attempts and
	// all.
	objectRead = 15 * time.Second
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

	// The rest belongs to the loop.
	aged, tidied time.Time
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
	store, err := object.Open(url, object.Options{Timeout: objectRead / 3})
	if err != nil {
		return err
	}
	e.objects = &objectTier{engine: e, url: url, store: store, reader: object.Reader{Store: store, Timeout: objectRead}}
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
	pace := &pace{state: e.state, log: e.node, hold: e.config.objectHold}
	e.objects.mover = object.NewMover(object.MoverOptions{
		Store: e.objects.store, ID: id, State: e.state, Log: pace, Rest: pace.rest,
		SegmentSize: int(e.config.SegmentSize), Keep: e.config.BackupKeep, Grace: e.config.objectGrace,
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
		case <-e.stop:
			return
		}
		if err := t.turn(ctx); err != nil && ctx.Err() == nil {
			e.config.Logger.Error("object storage: it will be tried again", "err", err)
		}
	}
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

// relieve moves values while the checkpoint's records take more than --disk-max:
// first what has left memory, then the rest. A checkpoint gives the space free.
func (t *objectTier) relieve(ctx context.Context) error {
	most := int64(t.engine.config.DiskMax)
	excess := t.engine.disk.Stats().LiveBytes - most + most/10
	if excess <= most/10 {
		return nil
	}
	for _, tier := range []kv.Tier{kv.TierDisk, kv.TierMemory} {
		moved, err := t.mover.Move(ctx, excess, func(r kv.Resident) bool { return r.Tier() == tier })
		if err != nil {
			return err
		}
		if excess -= moved.Bytes; excess <= 0 {
			break
		}
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
	// Dead counts the segments that wait to be deleted, Missing those that are lost.
	Dead    int `json:"dead"`
	Missing int `json:"missing"`
	// The rest counts since the start.
	Moved      uint64 `json:"moved"`
	MovedBytes uint64 `json:"moved_bytes"`
	Uploads    uint64 `json:"uploads"`
	Deleted    uint64 `json:"deleted"`
	Errors     uint64 `json:"errors"`
	// Waiting says why the last attempt failed; empty if nothing waits.
	Waiting string `json:"waiting,omitempty"`
}

func (t *objectTier) status() *ObjectStatus {
	s, live := t.mover.Stats(), t.engine.state.Segments()
	o := &ObjectStatus{
		Store: t.url, Segments: len(live), StoredBytes: s.Sweep.Bytes, Dead: s.Sweep.Waiting, Missing: s.Sweep.Missing,
		Moved: s.Values, MovedBytes: s.Bytes, Uploads: s.Uploads, Deleted: s.Deleted, Errors: s.Errors, Waiting: s.Problem,
	}
	for _, l := range live {
		o.LiveBytes += l.Bytes
	}
	return o
}
