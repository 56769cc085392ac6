package auth

import (
	"fmt"
	"iter"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/puzpuzpuz/xsync/v3"

	"keywatch/kv"
)

// anonymousRole is the role of callers without a credential, adminRole the one that the first
// user has.
const (
	anonymousRole = "anonymous"
	adminRole     = "admin"
)

// A userState is a user as the table knows it. It is replaced when the record is.
type userState struct {
	id     string
	record *userRecord
	rev    kv.Rev
	// last are the grants that were compiled last for the user, so that a hundred credentials of one
	// user compile them once.
	last atomic.Pointer[compiledGrants]
}

type compiledGrants struct {
	roles  []*roleState
	grants *Grants
}

// compiled returns the grants of roles for a user, who may be nil.
func (u *userState) compiled(name string, roles []*roleState) *Grants {
	if u != nil {
		if last := u.last.Load(); last != nil && sameRoles(last.roles, roles) {
			return last.grants
		}
	}
	var all []Grant
	for _, r := range roles {
		all = append(all, r.record.Grants...)
	}
	g := NewGrants(name, all)
	if u != nil {
		u.last.Store(&compiledGrants{roles, g})
	}
	return g
}

// A roleState is a role as the table knows it. It is replaced when the record is.
type roleState struct {
	id     string
	record *roleRecord
	rev    kv.Rev
}

// TableOptions configure a Table.
type TableOptions struct {
	// Wrapper unwraps data keys.
	Wrapper Wrapper
	// Logger says what cannot be read; slog.Default by default.
	Logger *slog.Logger
	// UsedTickets bounds the tickets for one use that are remembered until they end; 100,000.
	UsedTickets int
	// Now returns the wall time; time.Now by default.
	Now func() time.Time
	// Verifier, if not nil, verifies JWTs: then they are accepted. SetSigners says by which keys.
	Verifier Verifier
	// Behind returns why this server may lack a revocation that another acknowledged long ago, nil while it
	// cannot: then it shows what it has without asking others. nil is a server that is never behind.
	Behind func() error
	// Barrier begins a read barrier, or returns nil if this server shows all that was acknowledged; nil where no other
	// server makes credentials: see Table.CatchUp.
	Barrier func(kv.Waker) *kv.Barrier
}

// A Table is what this server knows of users, roles and credentials: the private records, opened.
// It is a kv.PrivateWatcher; everything else is safe for concurrent use.
type Table struct {
	opts   TableOptions
	sealer *Sealer
	// gen is raised by every change, while mu is held.
	gen  atomic.Uint64
	auth atomic.Uint64
	// byHash has the credentials by what their secrets' hashes are.
	byHash    *xsync.MapOf[Hash, *Caller]
	anonymous *Caller
	// highest is the latest time that was seen: the clock for ends never steps back.
	highest atomic.Int64
	nonces  nonces
	uses    uses
	tokens  tokens
	ends    ends
	counts  tallies
	catchup catchup
	// used says that there are private records, whether they can be read or not.
	used atomic.Bool
	// behind says that this server may miss what was revoked: see SetBehind.
	behind atomic.Bool
	// wakers are told of every change.
	wakers atomic.Pointer[[]func()]

	mu struct {
		sync.RWMutex
		epoch   kv.Epoch
		users   map[string]*userState
		names   map[string]*userState // by name
		roles   map[string]*roleState // by name
		roleIDs map[string]*roleState
		creds   map[CredID]*Caller
		credRev map[CredID]kv.Rev
		certs   map[string]string // user by the id of the record
		tickets map[uint64]TicketKey
		deks    map[uint64]kv.Rev
		hmac    []byte
		revs    map[string]kv.Rev // of meta records
		damaged map[string]error
		signers map[string]bool // keys of JWTs by their ids
	}
}

var _ kv.PrivateWatcher = (*Table)(nil)

// NewTable returns a table that knows nothing yet.
func NewTable(opts TableOptions) *Table {
	if opts.Logger == nil {
		opts.Logger = slog.Default()
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	t := &Table{opts: opts, sealer: NewSealer(), byHash: xsync.NewMapOf[Hash, *Caller](), counts: newTallies()}
	if t.nonces.max = opts.UsedTickets; t.nonces.max == 0 {
		t.nonces.max = ticketsMax
	}
	t.anonymous = &Caller{table: t, kind: Anonymous}
	t.ends.init()
	t.catchup.begin, t.catchup.results = opts.Barrier, newTally(CatchUps)
	t.clearLocked()
	t.gen.Store(1)
	return t
}

func (t *Table) clearLocked() {
	m := &t.mu
	m.users, m.names = make(map[string]*userState), make(map[string]*userState)
	m.roles, m.roleIDs = make(map[string]*roleState), make(map[string]*roleState)
	m.creds, m.credRev = make(map[CredID]*Caller), make(map[CredID]kv.Rev)
	m.certs = make(map[string]string)
	m.tickets, m.deks = make(map[uint64]TicketKey), make(map[uint64]kv.Rev)
	m.revs, m.damaged, m.hmac = make(map[string]kv.Rev), make(map[string]error), nil
}

// Now returns the wall time in milliseconds. It never steps back.
func (t *Table) Now() int64 {
	now := t.opts.Now().UnixMilli()
	for {
		high := t.highest.Load()
		if now <= high {
			return high
		}
		if t.highest.CompareAndSwap(high, now) {
			return now
		}
	}
}

// saw notes a time that another server saw.
func (t *Table) saw(made int64) {
	for {
		high := t.highest.Load()
		if made <= high || t.highest.CompareAndSwap(high, made) {
			return
		}
	}
}

// SetBehind says whether this server may miss what was revoked elsewhere. While it may, doors refuse all
// callers with kv.ErrNoLeader, but for who asks how the server is.
func (t *Table) SetBehind(behind bool) { t.behind.Store(behind) }

// Behind reports what SetBehind has said last.
func (t *Table) Behind() bool { return t.behind.Load() }

// AuthRev returns the auth revision that the table has come to.
func (t *Table) AuthRev() kv.Rev { return kv.Rev(t.auth.Load()) }

// TicketKeyAge returns how long ago the key was made that new tickets are signed with; 0 if there is
// none.
func (t *Table) TicketKeyAge() time.Duration {
	k, ok := t.newestTicketKey()
	if !ok {
		return 0
	}
	return time.Duration(t.Now()-k.Made) * time.Millisecond
}

// Worn reports whether the data key has sealed so much that another must follow.
func (t *Table) Worn() bool { return t.sealer.Worn() }

// Err returns an error that matches ErrSealed if there are records that the sealing key does not
// open, or that are malformed: then nothing may be served.
func (t *Table) Err() error {
	t.mu.RLock()
	defer t.mu.RUnlock()
	var first string
	for name := range t.mu.damaged {
		// Of a data key that cannot be opened all others are a consequence.
		if kind, _ := cutRecord(name); first == "" || kind == kindDataK || name < first && !strings.HasPrefix(first, kindDataK+"/") {
			first = name
		}
	}
	if first == "" {
		return nil
	}
	return fmt.Errorf("%d private records cannot be read: %w", len(t.mu.damaged), t.mu.damaged[first])
}

// Empty reports whether there are no private records.
func (t *Table) Empty() bool {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return len(t.mu.deks) == 0 && len(t.mu.users) == 0
}

// Used reports whether there are private records, even if they cannot be read here. It is true before anything can be
// read that was written after them.
func (t *Table) Used() bool { return t.used.Load() }

// PrivateReset implements kv.PrivateWatcher.
func (t *Table) PrivateReset(all iter.Seq[kv.PrivateRecord], auth kv.Rev, epoch kv.Epoch) {
	t.change(auth, func() {
		gone := t.mu.creds
		t.clearLocked()
		t.mu.epoch = epoch
		var later []kv.PrivateRecord
		for r := range all { // data keys open the others
			if kind, _ := cutRecord(r.Name); kind != kindDataK {
				later = append(later, r)
				continue
			}
			t.takeLocked(r, gone)
		}
		for _, r := range later {
			t.takeLocked(r, gone)
		}
		for id, c := range gone {
			if t.mu.creds[id] == nil {
				t.byHash.Delete(Hash(c.cred.Load().Hash))
				c.cred.Store(nil)
			}
		}
	})
}

// PrivateChanged implements kv.PrivateWatcher.
func (t *Table) PrivateChanged(changed []kv.PrivateRecord, auth kv.Rev) {
	t.change(auth, func() {
		for _, r := range changed {
			if kind, _ := cutRecord(r.Name); kind == kindDataK {
				t.takeLocked(r, nil)
			}
		}
		for _, r := range changed {
			if kind, _ := cutRecord(r.Name); kind != kindDataK {
				t.takeLocked(r, nil)
			}
		}
	})
}

// change runs do with the lock held, and has callers look at their standing again.
func (t *Table) change(auth kv.Rev, do func()) {
	t.mu.Lock()
	do()
	// In this order: who sees the new auth revision looks at its standing again, and waits for this lock. The
	// other way round a command could carry the new revision under a standing of before.
	t.gen.Add(1)
	t.auth.Store(uint64(auth))
	t.used.Store(len(t.mu.deks) > 0 || len(t.mu.users) > 0 || len(t.mu.damaged) > 0)
	t.mu.Unlock()
	t.wake()
}

// OnChange has f called after callers' standings may have changed, from the goroutine that applies:
// it must only wake another one.
func (t *Table) OnChange(f func()) {
	for {
		old := t.wakers.Load()
		all := []func(){f}
		if old != nil {
			all = append(all, *old...)
		}
		if t.wakers.CompareAndSwap(old, &all) {
			return
		}
	}
}

func (t *Table) wake() {
	if all := t.wakers.Load(); all != nil {
		for _, f := range *all {
			f()
		}
	}
}
