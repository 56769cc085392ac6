package kv

import (
	"fmt"
	"iter"
	"strings"

	"github.com/tidwall/btree"
)

// Bounds on private records. They are constants, so that every node decides alike.
const (
	// PrivateValueMax is the largest value of a private record in bytes.
	PrivateValueMax = 64 << 10
	// PrivateNameMax is the largest name of a private record in bytes, with its kind.
	PrivateNameMax = 16 + 1 + 64
	// PrivateStepMax bounds the checks of one private command, and its changes.
	PrivateStepMax = 1024
	// PrivateMax bounds the private records of a state.
	PrivateMax = 200_000
	// PrivateBytesMax bounds what they take in memory, in bytes.
	PrivateBytesMax = 64 << 20
)

// A PrivateRecord is a named value beside the keys: no key, list, watch, event or tier ever
// shows it. Its name is a kind and an id, `[a-z]{1,16}/[A-Za-z0-9_-]{1,64}`. It must not be
// changed.
type PrivateRecord struct {
	Name  string
	Value []byte
	// Rev is the revision that wrote the record. Commands need not set it.
	Rev Rev
}

// A PrivateCheck expects a private record to be of revision Rev; 0 expects that there is none.
type PrivateCheck struct {
	Name string
	Rev  Rev
}

// A PrivateCommand changes private records, all in one revision, if all its checks hold. No
// event tells of it.
type PrivateCommand struct {
	Checks  []PrivateCheck
	Puts    []PrivateRecord
	Deletes []string
	// Narrow is set if a caller may do less from now on: the auth revision becomes that of this
	// command, and commands that were allowed under an earlier one end with AuthMoved.
	Narrow bool
}

// A PrivateWatcher learns of private records from the goroutine that applies, before anything
// of the same log entry is visible: an event that follows a change is never seen before the
// watcher knows of the change. It must be quick, keep nothing of what it is given but the
// records, and not call the state.
type PrivateWatcher interface {
	// PrivateChanged is given the records that an entry has changed, the newest of each name last;
	// one with a nil Value was deleted. There may be none: auth, the auth revision after the
	// entry, has changed then.
	PrivateChanged(changed []PrivateRecord, auth Rev)
	// PrivateReset is given all records, after a checkpoint was loaded or a new epoch began.
	PrivateReset(all iter.Seq[PrivateRecord], auth Rev, epoch Epoch)
}

type noPrivateWatcher struct{}

func (noPrivateWatcher) PrivateChanged([]PrivateRecord, Rev)              {}
func (noPrivateWatcher) PrivateReset(iter.Seq[PrivateRecord], Rev, Epoch) {}

// privateCost is what a private record takes in memory beside its name and value, in bytes.
const privateCost = 160

func (r *PrivateRecord) cost() int64 { return int64(privateCost + len(r.Name) + len(r.Value)) }

// A privateTable holds the private records. It belongs to the holder of the apply lock.
type privateTable struct {
	byName *btree.Map[string, PrivateRecord]
	bytes  int64
	// auth is the auth revision, 0 until there was a private command; told is the one that the
	// watcher knows.
	auth, told Rev
	// changes counts the commands that changed anything, saved those that the last checkpoint
	// holds.
	changes, saved uint64
	// changed collects what the entry at hand does.
	changed []PrivateRecord
}

func newPrivateTable() privateTable {
	return privateTable{byName: new(btree.Map[string, PrivateRecord])}
}

// all ranges over the records in order of name.
func (t *privateTable) all(yield func(PrivateRecord) bool) { scanPrivate(t.byName, yield) }

func scanPrivate(m *btree.Map[string, PrivateRecord], yield func(PrivateRecord) bool) {
	m.Scan(func(_ string, r PrivateRecord) bool { return yield(r) })
}

func (t *privateTable) put(r PrivateRecord) {
	old, _ := t.byName.Set(r.Name, r)
	t.bytes += r.cost()
	if old.Name != "" {
		t.bytes -= old.cost()
	}
}

func (t *privateTable) remove(name string) bool {
	old, found := t.byName.Delete(name)
	if found {
		t.bytes -= old.cost()
	}
	return found
}

// Private returns the private record with a name; false if there is none.
func (s *State) Private(name string) (PrivateRecord, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mu.private.byName.Get(name)
}

// PrivateRecords returns all private records in order of name, as they are now.
func (s *State) PrivateRecords() iter.Seq[PrivateRecord] {
	s.mu.Lock()
	defer s.mu.Unlock()
	frozen := s.mu.private.byName.Copy()
	return func(yield func(PrivateRecord) bool) { scanPrivate(frozen, yield) }
}

// AuthRev returns the auth revision, see PrivateCommand.Narrow; 0 if there was never a private
// command.
func (s *State) AuthRev() Rev {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mu.private.auth
}

func (c *Command) validatePrivate() error {
	alone := !c.hasOps() && c.Prefix == nil && c.Lease == nil && c.Lock == nil && c.Refer == nil
	if !alone || len(c.Fences) > 0 || c.Idem != (Idem{}) {
		return fmt.Errorf("%w: a private command must do nothing else", ErrBadCommand)
	}
	return c.Private.validate()
}

func (c *PrivateCommand) validate() error {
	changes := len(c.Puts) + len(c.Deletes)
	if changes == 0 || changes > PrivateStepMax || len(c.Checks) > PrivateStepMax {
		return fmt.Errorf("%w: a private command has %d changes and %d checks", ErrBadCommand, changes, len(c.Checks))
	}
	written := make(map[string]struct{}, changes)
	write := func(name string) error {
		if _, twice := written[name]; twice {
			return fmt.Errorf("%w: private record %.80q", ErrDuplicateKey, name)
		}
		written[name] = struct{}{}
		return checkPrivateName(name)
	}
	for i := range c.Puts {
		p := &c.Puts[i]
		if len(p.Value) == 0 || len(p.Value) > PrivateValueMax {
			return fmt.Errorf("%w: private record of %d bytes", ErrValueTooLarge, len(p.Value))
		}
		if err := write(p.Name); err != nil {
			return err
		}
	}
	for _, name := range c.Deletes {
		if err := write(name); err != nil {
			return err
		}
	}
	for i := range c.Checks {
		if err := checkPrivateName(c.Checks[i].Name); err != nil {
			return err
		}
	}
	return nil
}

// checkPrivateName returns nil if name is one of a private record, else an error that matches
// ErrBadCommand.
func checkPrivateName(name string) error {
	kind, id, ok := strings.Cut(name, "/")
	ok = ok && len(kind) >= 1 && len(kind) <= 16 && len(id) >= 1 && len(id) <= 64
	for i := 0; ok && i < len(kind); i++ {
		ok = kind[i] >= 'a' && kind[i] <= 'z'
	}
	for i := 0; ok && i < len(id); i++ {
		ok = idByte(id[i])
	}
	if !ok {
		return fmt.Errorf("%w: name of a private record %.80q", ErrBadCommand, name)
	}
	return nil
}

// idByte reports whether b may stand in the id of a private record.
func idByte(b byte) bool {
	switch {
	case b >= 'a' && b <= 'z', b >= 'A' && b <= 'Z', b >= '0' && b <= '9':
		return true
	}
	return b == '_' || b == '-'
}
