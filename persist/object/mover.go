package object

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"keywatch/kv"
	"keywatch/kv/progress"
)

// Proposer puts a command into the log and returns what became of it; kv.Log and
// kv.Store are such.
type Proposer interface {
	Propose(ctx context.Context, c *kv.Command) (kv.Result, error)
}

// MoverOptions configure a Mover.
type MoverOptions struct {
	// Store keeps the segments; ID says whose they are.
	Store Store
	ID    StoreID
	// Sole says that no other store keeps anything in Store, so that what bears
	// other names and is not used may be deleted too.
	Sole bool
	// Known reports whether the data folder remembers Store as the one in which its values
	// are; Adopted makes it remember, before the first value is stored there. Both may be
	// nil.
	Known   func() bool
	Adopted func() error
	// State returns what is moved from, Log is where references are proposed.
	State func() *kv.State
	Log   Proposer
	// SegmentSize is about how long a segment becomes, in bytes; 8 MiB.
	SegmentSize int
	// Keep is how long a segment that nothing refers to stays, so that older
	// backups can be restored. Grace is how old it must be at least, so that what
	// was just uploaded does not count as an orphan; 1 hour.
	Keep, Grace time.Duration
	// Rest, if not nil, is called after each piece of work of some milliseconds, with
	// how long it took. Moving continues when it returns.
	Rest func(ctx context.Context, worked time.Duration)
	// Progress is told of "move", in values looked at, and of "tidy", in segments. nil
	// reports nothing.
	Progress *progress.Board
	// Step, if not nil, is called between two steps of moving; its error ends the
	// move. Tests use it.
	Step func(Step) error
}

// A Step is a place between two steps of moving a value.
type Step string

// The steps.
const (
	StepPacked     Step = "packed"     // a segment is in memory
	StepStored     Step = "stored"     // it was put, and is not confirmed yet
	StepUploaded   Step = "uploaded"   // it is stored and confirmed
	StepReferenced Step = "referenced" // some references to it are in the log
	StepRewritten  Step = "rewritten"  // what was alive in sparse segments is elsewhere
	StepDead       Step = "dead"       // a segment was found that nothing refers to
	StepDeleting   Step = "deleting"   // one is about to be deleted
	StepDeleted    Step = "deleted"    // and was
)

// A Mover moves values from a state into segments, rewrites segments of which
// less than half is alive, and deletes those that nothing refers to. It has no
// goroutine of its own. It is safe for concurrent use; one move runs at a time.
type Mover struct {
	opts   MoverOptions
	home   Home
	writer Writer
	// busy holds a token; its holder may move or delete. The fields below
	// belong to the holder.
	busy    chan struct{}
	probed  bool
	claimed uint64 // number of the own claim; 0 for none yet
	last    uint64 // number of the last segment; 0 for none yet
	dead    map[ID]time.Time
	taken   error // another process writes: this one has stopped

	mu struct {
		sync.Mutex
		stats   Stats
		checked bool       // the problem is what Check has found
		pins    map[ID]int // by how many backups that are under way
	}
}

// NewMover returns a mover.
func NewMover(o MoverOptions) *Mover {
	if o.SegmentSize == 0 {
		o.SegmentSize = 8 << 20
	}
	if o.Grace == 0 {
		o.Grace = time.Hour
	}
	if o.Step == nil {
		o.Step = func(Step) error { return nil }
	}
	m := &Mover{opts: o, writer: NewWriter(), busy: make(chan struct{}, 1), dead: make(map[ID]time.Time)}
	m.home = Home{Store: o.Store, ID: o.ID, Segments: func() map[kv.SegmentID]kv.Live { return o.State().Segments() }, Known: o.Known}
	m.busy <- struct{}{}
	return m
}

// Check reports, as Home.Check does, whether the store is the right one, and shows it
// in Stats.
func (m *Mover) Check(ctx context.Context) error {
	err := m.home.Check(ctx)
	m.mu.Lock()
	defer m.mu.Unlock()
	if err != nil || m.mu.checked { // what a move failed with stays until one succeeds
		m.failLocked(err)
	}
	m.mu.checked = err != nil
	return err
}

func (m *Mover) begin(ctx context.Context) (end func(), err error) {
	select {
	case <-m.busy:
		return func() { m.busy <- struct{}{} }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Move moves the values that want picks, until it has moved about limit bytes; 0
// is no limit. It returns the number and bytes of the values moved, also when it
// fails: with ErrTaken, ErrUnfit, ErrUnavailable, ErrDamaged, or an error of the
// state or the log. What was not moved stays where it is.
func (m *Mover) Move(ctx context.Context, limit int64, want func(kv.Resident) bool) (kv.Live, error) {
	end, err := m.begin(ctx)
	if err != nil {
		return kv.Live{}, err
	}
	defer end()
	return m.move(ctx, limit, want)
}

// move is Move for who has the token. Where it fails it continues to count what would
// have been moved.
func (m *Mover) move(ctx context.Context, limit int64, want func(kv.Resident) bool) (moved kv.Live, err error) {
	p := &pack{mover: m}
	var picked kv.Live
	task := m.opts.Progress.Begin("move", "values")
	defer task.End()
	task.Expect(int64(m.opts.State().Len()))
	defer func() { m.note(p.moved, picked, err) }()
	for r := range m.throttled(ctx, m.opts.State().Residents()) {
		if limit > 0 && picked.Bytes >= limit || ctx.Err() != nil {
			break
		}
		task.Add(1)
		if !want(r) || p.hopeless(r) {
			continue
		}
		if err == nil {
			err = p.add(ctx, r)
		}
		if errors.Is(err, kv.ErrDamaged) { // what is lost must not hold up the rest
			p.lose(r, err)
			err = nil
			continue
		}
		picked.Values++
		picked.Bytes += int64(r.Size())
	}
	if err == nil {
		err = ctx.Err()
	}
	if err == nil {
		err = p.ship(ctx)
	}
	if err == nil {
		picked = p.moved // what is lost or has changed does not wait
	}
	return p.moved, errors.Join(err, p.lost)
}

// ready sees to it that the store may be written to by this process.
func (m *Mover) ready(ctx context.Context) error {
	if err := m.own(ctx); err != nil || m.probed {
		return err
	}
	prefix := Prefix(m.opts.ID, m.opts.State().Position().Epoch)
	if err := Probe(ctx, m.opts.Store, prefix); err != nil {
		return err
	}
	m.probed = true
	return nil
}

// draw returns the name of a new segment. No object ever had it, see drawNumber.
func (m *Mover) draw() ID {
	state := m.opts.State()
	m.last = max(m.last+1, drawNumber(state.Applied()))
	return ID{m.opts.ID, state.Position().Epoch, m.last}
}

// A pack is a segment in the making.
type pack struct {
	mover   *Mover
	id      ID
	builder *Builder
	refs    []kv.Ref
	moved   kv.Live
	// lost is the first loss met, and losses how many in which segment.
	lost   error
	losses map[kv.SegmentID]int
}

// lossesMax is how many values of a segment may turn out to be lost before the rest
// of it is left alone: each costs requests.
const lossesMax = 16

// lose notes that the value of r cannot be had.
func (p *pack) lose(r kv.Resident, err error) {
	if p.lost == nil {
		p.lost, p.losses = err, make(map[kv.SegmentID]int)
	}
	if id, ok := r.Segment(); ok {
		p.losses[id]++
	}
}

// hopeless reports whether the value of r is in a segment that is lost.
func (p *pack) hopeless(r kv.Resident) bool {
	id, ok := r.Segment()
	return ok && p.losses[id] >= lossesMax && !r.InMemory()
}

// add packs one value, and ships the segment when it is full. A key that changed
// meanwhile is left alone.
func (p *pack) add(ctx context.Context, r kv.Resident) error {
	value, err := p.mover.opts.State().Fetch(ctx, r)
	if errors.Is(err, kv.ErrColdGone) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("fetch %.80q to move it: %w", r.Key, err)
	}
	if p.builder == nil {
		if err := p.mover.ready(ctx); err != nil {
			return err
		}
		m := p.mover
		p.id = m.draw()
		p.builder = NewBuilder(p.id, m.writer, m.opts.SegmentSize)
	}
	rec, err := p.builder.Add(r.Key, r.At(), value)
	if err != nil {
		return err
	}
	p.refs = append(p.refs, kv.Ref{Key: r.Key, At: r.At(), Offset: uint64(rec.Offset), Size: len(value), Hash: r.Hash()})
	if p.builder.Size() < p.mover.opts.SegmentSize {
		return nil
	}
	return p.ship(ctx)
}

// ship stores the segment, and only then proposes the references to it. If it
// fails in between, the segment is an orphan, and all values are where they were.
func (p *pack) ship(ctx context.Context) error {
	if p.builder == nil {
		return nil
	}
	m, b, refs := p.mover, p.builder.Finish(), p.refs
	p.builder, p.refs = nil, nil
	if err := m.opts.Step(StepPacked); err != nil {
		return err
	}
	if err := p.upload(ctx, b); err != nil {
		return err
	}
	m.uploaded(len(b))
	if err := m.opts.Step(StepUploaded); err != nil {
		return err
	}
	for len(refs) > 0 {
		n := together(refs)
		if err := p.refer(ctx, refs[:n]); err != nil {
			return err
		}
		refs = refs[n:]
	}
	return nil
}

// upload stores the segment and reads it back, see Upload.
func (p *pack) upload(ctx context.Context, b []byte) error {
	m := p.mover
	put := m.opts.Store.Put(ctx, p.id.Name(), b)
	if err := m.opts.Step(StepStored); err != nil {
		return err
	}
	err := confirm(ctx, m.opts.Store, p.id, b, put)
	if errors.Is(err, ErrTaken) {
		m.taken = err
	}
	return err
}

func (p *pack) refer(ctx context.Context, refs []kv.Ref) error {
	id := kv.SegmentID{Store: uint64(p.id.Store), Epoch: p.id.Epoch, Seq: p.id.Seq}
	result, err := p.mover.opts.Log.Propose(ctx, &kv.Command{Refer: &kv.Refer{Segment: id, Refs: refs}})
	if err != nil {
		return fmt.Errorf("refer to %s: %w", p.id.Name(), err)
	}
	p.moved.Values += int64(result.Referred)
	p.moved.Bytes += result.ReferredBytes
	return p.mover.opts.Step(StepReferenced)
}
