package object

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"keywatch/kv"
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
	// State is moved from, Log is where references are proposed.
	State *kv.State
	Log   Proposer
	// SegmentSize is about how long a segment becomes, in bytes; 8 MiB.
	SegmentSize int
	// Keep is how long a segment that nothing refers to stays, so that older
	// backups can be restored. Grace is how old it must be at least, so that what
	// was just uploaded is not taken for an orphan; 1 hour.
	Keep, Grace time.Duration
	// Rest, if not nil, is called after each piece of work of some milliseconds, with
	// how long it took. Moving goes on when it returns.
	Rest func(ctx context.Context, worked time.Duration)
	// Step, if not nil, is called between two steps of moving; its error ends the
	// move. Tests use it.
	Step func(Step) error
}

// A Step is a place between two steps of moving a value.
type Step string

// The steps.
const (
	StepPacked     Step = "packed"     // a segment is in memory
	StepUploaded   Step = "uploaded"   // it is stored and confirmed
	StepReferenced Step = "referenced" // some references to it are in the log
	StepDeleting   Step = "deleting"   // a dead segment is about to be deleted
)

// A Mover moves values from a state into segments, rewrites segments of which
// less than half is alive, and deletes those that nothing refers to. It has no
// goroutine of its own. It is safe for concurrent use; one move runs at a time.
type Mover struct {
	opts   MoverOptions
	writer Writer
	// busy holds a token; whoever has taken it may move or delete. The fields below
	// are theirs.
	busy   chan struct{}
	probed bool
	epoch  kv.Epoch // that next belongs to
	next   uint64   // number of the next segment; 0 if not known yet
	dead   map[ID]time.Time
	taken  error // another process writes: this one has stopped

	mu struct {
		sync.Mutex
		stats Stats
		pins  map[ID]int // by how many backups that are under way
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
	m.busy <- struct{}{}
	return m
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
	moved, err := m.move(ctx, limit, want)
	m.note(moved, err)
	return moved, err
}

func (m *Mover) move(ctx context.Context, limit int64, want func(kv.Resident) bool) (moved kv.Live, err error) {
	p := &pack{mover: m}
	packed := int64(0)
	for r := range m.paced(ctx, m.opts.State.Residents()) {
		if limit > 0 && packed >= limit {
			break
		}
		if !want(r) {
			continue
		}
		if err = ctx.Err(); err == nil {
			err = p.add(ctx, r)
		}
		if err != nil {
			return p.moved, err
		}
		packed += int64(r.Size())
	}
	err = p.ship(ctx)
	return p.moved, err
}

// ready sees to it that the store may be written to and that next is a number that
// was never used in this epoch.
func (m *Mover) ready(ctx context.Context) error {
	if m.taken != nil {
		return m.taken
	}
	epoch := m.opts.State.Position().Epoch
	if m.next > 0 && m.epoch == epoch {
		return nil
	}
	prefix := Prefix(m.opts.ID, epoch)
	if !m.probed {
		if err := Probe(ctx, m.opts.Store, prefix); err != nil {
			return err
		}
		m.probed = true
	}
	// The clock keeps numbers apart whose segments were deleted.
	next := uint64(max(1, time.Now().UnixMilli()))
	for info, err := range m.opts.Store.List(ctx, prefix) {
		if err != nil {
			return fmt.Errorf("list segments: %w", err)
		}
		if id, ok := ParseName(info.Name); ok {
			next = max(next, id.Seq+1)
		}
	}
	m.epoch, m.next = epoch, next
	return nil
}

// A pack is a segment in the making.
type pack struct {
	mover   *Mover
	id      ID
	builder *Builder
	refs    []kv.Ref
	moved   kv.Live
}

// add packs one value, and ships the segment when it is full. A key that changed
// meanwhile is left alone.
func (p *pack) add(ctx context.Context, r kv.Resident) error {
	value, err := p.mover.opts.State.Fetch(ctx, r)
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
		p.id = ID{m.opts.ID, m.epoch, m.next}
		m.next++
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
	if err := Upload(ctx, m.opts.Store, p.id, b); err != nil {
		if errors.Is(err, ErrTaken) {
			m.taken = err
		}
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
