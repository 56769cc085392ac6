package ratelimit

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// Kind says what the memory is for that a caller makes the server hold.
type Kind uint8

// The kinds. Connections, Watches and Waits last; Requests and Answers come and go.
const (
	// Connections is what a connection takes while it is open, whatever it does.
	Connections Kind = iota
	// Watches is what watches take: their names, their places in the index.
	Watches
	// Waits is what commands take that wait for locks.
	Waits
	// Requests is bodies and messages, while they are read and until they are
	// answered.
	Requests
	// Answers is answers, and events, that the caller has not taken yet.
	Answers
	kinds // how many there are
)

// String returns the name that metrics and /v1/status use.
func (k Kind) String() string {
	switch k {
	case Connections:
		return "connections"
	case Watches:
		return "watches"
	case Waits:
		return "waits"
	case Requests:
		return "requests"
	case Answers:
		return "answers"
	}
	return fmt.Sprintf("kind(%d)", uint8(k))
}

// lasts reports whether what the kind is for lasts.
func (k Kind) lasts() bool { return k <= Waits }

// Kinds returns all kinds.
func Kinds() []Kind { return []Kind{Connections, Watches, Waits, Requests, Answers} }

// The parts of a budget, in quarters, that may be used at most by what lasts, and also
// by what comes and goes, and by watches and waits: none of them can leave nothing for the
// others.
const (
	groupShare = 3
	watchShare = 2
	// entryShare is the part, one in entryShare, that is left for what lasts: a request
	// that is small needs a connection and nothing else.
	entryShare = 16
)

// RequestsOf returns how much of a budget of limit bytes requests and answers may take together.
func RequestsOf(limit int64) int64 { return limit / 4 * groupShare }

// shortFor is how long a budget counts as short after it had no room.
const shortFor = 10 * time.Second

// A FullError is returned when a budget has no room. Nothing was charged.
type FullError struct {
	Kind Kind
	// Limit is what was exceeded, in bytes.
	Limit int64
	// Caller is set if that is the limit of one caller, not that of all; Part if it is the
	// part of the budget that such memory may take.
	Caller, Part bool
	// Never is set if there is no room for this request whatever others give back.
	Never bool
}

// Error implements error.
func (e *FullError) Error() string {
	who := "all callers"
	if e.Caller {
		who = "this caller"
	}
	return fmt.Sprintf("no room for more %s: %s may take %d bytes of memory", e.Kind, who, e.Limit)
}

// A Budget bounds the memory that callers make the server hold beside the data: each
// caller's, and that of all. Code that is about to allocate for a caller charges it
// first, by a [Hold], and gives back what it has let go of. What is small and short is
// not charged apart: a connection's charge has room for it.
//
// It is safe for concurrent use. It has no goroutine and needs no Close. A nil Budget
// bounds nothing.
type Budget struct {
	born time.Time
	// pressed is when there was no room last, in nanoseconds since born; 0 is never.
	pressed atomic.Int64
	refused [kinds]atomic.Uint64
	mu      struct {
		sync.Mutex
		limit, perCaller int64
		used             [kinds]int64
		callers          map[string]*account
		// queue are those who wait for room, in order of arrival.
		queue []*waiter
	}
	// exempt stands for all callers that have no limit of their own.
	exempt account
}

// An account is what one caller holds.
type account struct {
	budget *Budget
	name   string
	// bytes and holds, the Holds that are open, are guarded by the budget's lock.
	bytes int64
	holds int
}

// A waiter waits for n bytes. It is closed, once, when they were charged.
type waiter struct {
	hold *Hold
	kind Kind
	n    int64
	done chan struct{}
}

// NewBudget returns a budget of limit bytes, of which one caller may take perCaller;
// 0 is half of limit. A limit of 0 returns nil, which bounds nothing.
func NewBudget(limit, perCaller int64) *Budget {
	if limit <= 0 {
		return nil
	}
	b := &Budget{born: time.Now().Add(-1)}
	b.mu.callers = make(map[string]*account)
	b.exempt.budget = b
	b.Change(limit, perCaller)
	return b
}

// Change has other bounds be in force from now on: limit, which must not be 0, and perCaller, 0 for
// half of it. What is held beyond them is given back as it would be.
func (b *Budget) Change(limit, perCaller int64) {
	if perCaller <= 0 {
		perCaller = limit / 2
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.mu.limit, b.mu.perCaller = limit, perCaller
	b.admitLocked()
}

// Open returns a Hold for a caller, which must be closed. A caller without a name is
// bounded by what all may take only.
func (b *Budget) Open(caller string) Hold {
	if b == nil {
		return Hold{}
	}
	if caller == "" {
		return Hold{account: &b.exempt}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	a := b.mu.callers[caller]
	if a == nil {
		a = &account{budget: b, name: caller}
		b.mu.callers[caller] = a
	}
	a.holds++
	return Hold{account: a}
}

// Short reports whether there was no room a short while ago. Then what holds memory
// and does not move is given up sooner.
func (b *Budget) Short() bool {
	if b == nil {
		return false
	}
	at := b.pressed.Load()
	return at != 0 && b.now()-at < int64(shortFor)
}

func (b *Budget) now() int64 { return int64(time.Since(b.born)) }

// BudgetStats are figures of a Budget.
type BudgetStats struct {
	// Limit and PerCaller are the bounds in bytes; 0 where there is no budget.
	Limit, PerCaller int64
	// Used is what is held, Refused how often there was no room, by kind.
	Used    map[Kind]int64
	Refused map[Kind]uint64
	// Callers counts the callers that hold something; those without a limit of their
	// own do not count.
	Callers int
	// Waiting counts those who wait for room now.
	Waiting int
}

// Stats returns the figures now.
func (b *Budget) Stats() BudgetStats {
	s := BudgetStats{Used: make(map[Kind]int64), Refused: make(map[Kind]uint64)}
	if b == nil {
		return s
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	s.Limit, s.PerCaller = b.mu.limit, b.mu.perCaller
	for _, k := range Kinds() {
		s.Used[k], s.Refused[k] = b.mu.used[k], b.refused[k].Load()
	}
	s.Callers, s.Waiting = len(b.mu.callers), len(b.mu.queue)
	return s
}

// Used returns the bytes that are held in all.
func (b *Budget) Used() (sum int64) {
	if b == nil {
		return 0
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, n := range b.mu.used {
		sum += n
	}
	return sum
}

// fullLocked returns why n more bytes of kind k do not fit, nil if they do.
func (b *Budget) fullLocked(a *account, k Kind, n int64) error {
	return b.refusalLocked(a, a.bytes, &b.mu.used, k, n)
}

// neverLocked returns why n more bytes of kind k do not fit into h, whatever others give back; nil if
// they may.
func (b *Budget) neverLocked(h *Hold, k Kind, n int64) error {
	var sum int64
	var own [kinds]int64
	for kind, held := range h.n {
		own[kind] = int64(held)
		sum += own[kind]
	}
	return b.refusalLocked(h.account, sum, &own, k, n)
}

// refusalLocked returns why n more bytes of kind k do not fit where a holds mine and all callers hold
// used.
func (b *Budget) refusalLocked(a *account, mine int64, used *[kinds]int64, k Kind, n int64) error {
	var all, group int64
	for kind, of := range used {
		all += of
		if Kind(kind).lasts() == k.lasts() {
			group += of
		}
	}
	waiting := used[Watches] + used[Waits]
	switch most, watches := RequestsOf(b.mu.limit), b.mu.limit/4*watchShare; {
	case a.name != "" && mine+n > b.mu.perCaller:
		return &FullError{Kind: k, Limit: b.mu.perCaller, Caller: true}
	case (k == Watches || k == Waits) && waiting+n > watches:
		return &FullError{Kind: k, Limit: watches, Part: true}
	case group+n > most:
		return &FullError{Kind: k, Limit: most, Part: true}
	case all+n > b.mu.limit, !k.lasts() && all+n > b.mu.limit-b.mu.limit/entryShare:
		return &FullError{Kind: k, Limit: b.mu.limit}
	}
	return nil
}

// takeLocked charges n bytes, which may be negative, to a Hold that is open.
func (b *Budget) takeLocked(h *Hold, k Kind, n int64) {
	h.n[k] = uint32(int64(h.n[k]) + n)
	h.account.bytes += n
	b.mu.used[k] += n
}

// admitLocked gives room to those who wait, in order of arrival. One whose own limit
// is in the way does not hold up the others.
func (b *Budget) admitLocked() {
	rest := b.mu.queue[:0]
	full := false
	for _, w := range b.mu.queue {
		var why *FullError
		if !full {
			why, _ = b.fullLocked(w.hold.account, w.kind, w.n).(*FullError)
		}
		if full || why != nil {
			full = full || !why.Caller
			rest = append(rest, w)
			continue
		}
		b.takeLocked(w.hold, w.kind, w.n)
		close(w.done)
	}
	clear(b.mu.queue[len(rest):])
	b.mu.queue = rest
}

// refuse notes that there was no room, for good or until some is given back.
func (b *Budget) refuse(k Kind) {
	b.press()
	b.refused[k].Add(1)
}

func (b *Budget) press() { b.pressed.Store(b.now()) }
