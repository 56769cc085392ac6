package kv

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/puzpuzpuz/xsync/v3"
	"github.com/tidwall/btree"
)

const (
	// entryOverhead is what a key costs in memory beside its key and value, in
	// bytes, for accounting.
	entryOverhead = 176
	// deadlineCost is what a TTL takes beside.
	deadlineCost = 48
)

// StateOptions configure a State. The zero value of each field is its default.
type StateOptions struct {
	// Publisher learns of every change; nil for none.
	Publisher Publisher
	// Private learns of every change of private records; nil for none.
	Private PrivateWatcher
	// Presize is the number of keys to make room for; 65,536.
	Presize int
	// SnapshotMax bounds the snapshots open at once; 1,024.
	SnapshotMax int
	// SnapshotAge bounds how long a snapshot stays open, in log time; 5 minutes.
	SnapshotAge time.Duration
	// SnapshotBytes bounds the memory kept for snapshots only: versions that were
	// replaced, keys that were forgotten, copies of parts of the index; 256 MiB.
	SnapshotBytes int64
	// Cold reads the values that are not in memory; nil if there are none.
	Cold ColdReader
	// ColdMin is the size in bytes below which a value always stays in memory;
	// DefaultColdMin.
	ColdMin int
	// MemoryMax is how many bytes the state is to take: what is loaded or fetched
	// beyond stays cold. What is written is bounded by a Gate. 0 is no bound.
	MemoryMax int64
	// NoDigest leaves out what Digest is made of: no other server has this state.
	NoDigest bool
}

func (o StateOptions) withDefaults() StateOptions {
	if o.Publisher == nil {
		o.Publisher = discard{}
	}
	if o.Private == nil {
		o.Private = noPrivateWatcher{}
	}
	if o.Presize == 0 {
		o.Presize = 1 << 16
	}
	if o.SnapshotMax == 0 {
		o.SnapshotMax = 1024
	}
	if o.SnapshotAge == 0 {
		o.SnapshotAge = 5 * time.Minute
	}
	if o.SnapshotBytes == 0 {
		o.SnapshotBytes = 256 << 20
	}
	if o.ColdMin == 0 {
		o.ColdMin = DefaultColdMin
	}
	return o
}

type discard struct{}

func (discard) Publish([]Event, Position) {}
func (discard) Reset(Position)            {}

// A State is the state machine: what all log entries so far have made. Apply
// and Load change it and belong to one goroutine; everything else may be called
// by any goroutine at any time. Readers take no lock.
type State struct {
	opts  StateOptions
	table table

	// visible is the newest published revision, epoch the history it belongs
	// to, now the log time of the last applied entry, applied its index.
	visible atomic.Uint64
	epoch   atomic.Uint32
	now     atomic.Int64
	applied atomic.Uint64
	// floor is the machine's, for readers.
	floor atomic.Uint64

	// committed is the revision of the last committed checkpoint: it holds the
	// newest version of a key if that is not newer. It is stored under the apply
	// lock.
	committed atomic.Uint64
	residents residents
	memory    memory
	flights   flights
	reads     [TierCount]*xsync.Counter
	// retired is set by Retire, once.
	retired atomic.Bool

	// mu is the apply lock: it is held while an entry is applied and while a
	// snapshot is opened or closed.
	mu struct {
		sync.Mutex
		machine
	}
}

// A machine is what only the holder of the apply lock touches.
type machine struct {
	rev         Rev
	time        int64
	index, term uint64
	params      Params
	roster      string
	floor       Rev

	order     index
	deadlines *btree.BTreeG[deadline]
	tombs     tombstones
	idem      idemTable
	leases    leaseTable
	locks     lockTable
	private   privateTable
	snaps     snapshots
	dirty     dirtySet

	// keys counts the keys that exist; bytes are those of their keys and values,
	// keyBytes those of the keys alone, table what keys and metadata take.
	keys            int
	bytes, keyBytes int64
	table           int64
	// digest is what Digest is made of.
	digest uint64
	// left says that Store.Replace has put another state in this one's place.
	left bool

	// The rest lives for one entry. again is set while parts run, of which first is the
	// place of the first event, and before holds what each key was that they wrote.
	again   bool
	first   int
	before  []*Entry
	reset   bool
	silent  bool // a revision was used without an event
	ordinal uint32
	events  []Event
	linked  []*slot
	command Command
	prefix  string
}

// NewState returns an empty state.
func NewState(opts StateOptions) *State {
	s := &State{opts: opts.withDefaults()}
	s.table.init(s.opts.Presize)
	for i := range s.reads {
		s.reads[i] = xsync.NewCounter()
	}
	m := &s.mu.machine
	m.order = newIndex()
	m.deadlines = newDeadlines()
	m.idem = newIdemTable()
	m.leases = newLeaseTable()
	m.locks = newLockTable()
	m.private = newPrivateTable()
	m.params = Params{}.WithDefaults()
	m.dirty.number = 1
	m.dirty.gone = make(map[string]*slot)
	return s
}

func (s *State) slot(key string) *slot { return s.table.find(key) }

// Get returns the newest published version of key, nil if it is absent, and
// the position that it was read at. The version may be cold: see Read.
func (s *State) Get(key string) (*Entry, Position) {
	_, e, at := s.find(key)
	return e, at
}

// find is Get, and returns the key's slot too.
func (s *State) find(key string) (*slot, *Entry, Position) {
	for {
		at := s.Position()
		sl := s.slot(key)
		var e *Entry
		walked := sl == nil // or it was there at this revision, and is forgotten
		if sl != nil {
			e, walked = sl.at(at.Rev)
		}
		if walked && Rev(s.visible.Load()) != at.Rev {
			continue
		}
		if e == nil || e.Deleted() {
			return sl, nil, at
		}
		return sl, e, at
	}
}

// Position returns the newest published position.
func (s *State) Position() Position {
	return Position{Epoch(s.epoch.Load()), Rev(s.visible.Load())}
}

// Time returns the log time of the last applied entry in milliseconds.
func (s *State) Time() int64 { return s.now.Load() }

// Applied returns the index of the last applied entry.
func (s *State) Applied() uint64 { return s.applied.Load() }

// Params returns the bounds in force.
func (s *State) Params() Params {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mu.params
}

// NextDeadline returns the earliest log time at which something is due to end.
func (s *State) NextDeadline() (int64, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mu.nextDue()
}

// Apply runs the log entry with the given index and term and returns one result
// for each of its commands. An entry at or below the applied index was applied
// before: it is skipped, with a nil result. Apply fails with ErrBadEntry if the
// entry is malformed; the state must not be used any more then.
func (s *State) Apply(index, term uint64, data []byte) ([]Result, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := &s.mu.machine
	if index <= m.index {
		return nil, nil
	}
	d := decoder{b: data}
	now, count, err := d.entryHeader()
	if err != nil {
		return nil, err
	}
	m.time = max(m.time, now)
	m.idem.expire(m.time)
	s.expireLocked()
	results := make([]Result, count)
	arena := make([]OpResult, 0, count)
	for i := range results {
		if err := s.runLocked(&d, &results[i], &arena); err != nil {
			return nil, err
		}
	}
	if len(d.b) != 0 {
		return nil, ErrBadEntry
	}
	m.index, m.term = index, term
	s.publishLocked()
	return results, nil
}

// Skip notes that the entry at index held no commands.
func (s *State) Skip(index, term uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if index > s.mu.index {
		s.mu.index, s.mu.term = index, term
		s.applied.Store(index)
	}
}

// publishLocked makes all that the entry did visible at once, tells the
// publisher, and lets go of versions that no reader can see any more.
func (s *State) publishLocked() {
	m := &s.mu.machine
	at := Position{Epoch(s.epoch.Load()), m.rev}
	s.tellPrivateLocked()
	s.now.Store(m.time)
	s.visible.Store(uint64(m.rev))
	s.applied.Store(m.index)
	if m.reset {
		m.reset = false
		s.opts.Publisher.Reset(at)
	} else if len(m.events) > 0 || m.silent {
		s.opts.Publisher.Publish(m.events, at)
	}
	m.silent = false
	clear(m.events)
	m.events = m.events[:0]
	m.locks.wake()
	s.unlinkLocked()
	s.forgetLocked()
	s.boundSnapshotsLocked()
	m.snaps.drop(lockStep)
	s.countMemoryLocked()
}

// runLocked decodes and runs the next command.
func (s *State) runLocked(d *decoder, r *Result, arena *[]OpResult) error {
	m := &s.mu.machine
	switch kind := d.byte(); kind {
	case commandBatch, commandPrefix, commandLease, commandLock, commandExtended, commandSince:
		d.command(kind, &m.command, &m.prefix)
		if d.bad {
			return ErrBadEntry
		}
		s.decideLocked(&m.command, r, arena)
	case commandRefer:
		c := d.refer()
		if d.bad {
			return ErrBadEntry
		}
		s.referLocked(&c, r)
	case commandPrivate:
		c, auth := d.private()
		if d.bad {
			return ErrBadEntry
		}
		s.privateLocked(c, auth, r)
	case commandSetup, commandSettings, commandBounds:
		u := d.setup(kind)
		if d.bad {
			return ErrBadEntry
		}
		s.setupLocked(u)
		r.Outcome = Committed
	case commandRoster:
		text := d.roster()
		if d.bad {
			return ErrBadEntry
		}
		s.mu.roster, r.Outcome = text, Committed
	default:
		return ErrBadEntry
	}
	r.At = Position{Epoch(s.epoch.Load()), m.rev}
	r.Time = m.time
	return nil
}

func (s *State) setupLocked(u Setup) {
	m := &s.mu.machine
	m.params = u.Params.WithDefaults()
	if u.Epoch == 0 {
		return
	}
	if m.rev > 0 {
		m.rev += RevLift
	}
	s.raiseFloorLocked(m.rev)
	m.reset = true
	s.epoch.Store(uint32(u.Epoch))
}
