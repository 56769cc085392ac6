package cluster

import (
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"keywatch/cluster/core"
	"keywatch/kv"
	"keywatch/kv/wake"
)

// A loop is the one goroutine that owns a core. It takes answers, questions and batches, has the
// writer write, and applies what is committed.
type loop struct {
	core   *core.Core
	writer writer
	wake   wake.Chan
	// flying counts batches that were taken from the queue and whose fate is not known,
	// writing what the writer's goroutine has not answered, logging the entries that were
	// proposed for several servers.
	flying, writing, logging int
	// leaderSeen is when a leader was known last, closing when the queue was found closed.
	leaderSeen, closing time.Time
	// applied is the last entry that the state has, known the last that the core knows it to
	// have.
	applied core.Point
	known   atomic.Uint64
	// leading is the term in which this server leads and has applied all that came before, 0
	// if it does not. settling is the batch with the settings that it logs first.
	leading  uint64
	settling *batch
	// install is a snapshot that was offered to Raft, nil while there is none. shipments are
	// those on their way to other servers. ordered says that one needs a newer checkpoint.
	install   *install
	shipments map[uint64]*shipment
	failed    map[uint64]int // how many in a row did not arrive
	ordered   bool
	// pins keep the log for those who get snapshots, needed is up to where the leader says that no
	// server needs it.
	pins   map[uint64]*pin
	needed uint64
	// led is closed, and begun set, when this server takes commands for the first time, or
	// never will.
	led   chan struct{}
	begun bool
	// gone is closed when the loop has ended.
	gone chan struct{}
	// since is when the oldest write that is not answered was begun.
	since time.Time
	// formed says that the store has had as many voters as it begins with.
	formed bool
	// rostering says that a roster is logged and not applied yet. reported is when the leader was told
	// how this server does.
	rostering bool
	reported  time.Time
	// tracing is about the batches with traced commands.
	tracing tracing
	// digests are those of the state. differ has the members that have another state than this server, which leads,
	// and after which entry that was seen first.
	digests digests
	differ  map[uint64]uint64
	// dead is why the loop does nothing any more, nil while it works.
	dead error

	mail struct {
		sync.Mutex
		written []core.Write // by the writer's goroutine
		failed  error        // why it does not write any more
		asked   []func()
		arrived []arrived // from other servers
		ticks   int
		over    bool // the loop has ended
	}
}

// ask has f called by the loop; ok is false if the loop has ended.
func (l *loop) ask(f func()) (ok bool) {
	l.mail.Lock()
	defer l.mail.Unlock()
	if l.mail.over {
		return false
	}
	l.mail.asked = append(l.mail.asked, f)
	l.wake.Wake()
	return true
}

// written takes what the writer's goroutine says about a write.
func (l *loop) written(w core.Write, err error) {
	l.mail.Lock()
	defer l.mail.Unlock()
	if err != nil {
		l.mail.failed = err
	} else {
		l.mail.written = append(l.mail.written, w)
	}
	l.wake.Wake()
}

// A post is what has arrived for the loop.
type post struct {
	written []core.Write
	asked   []func()
	arrived []arrived
	ticks   int
	failed  error
}

// post returns what has arrived.
func (l *loop) post() post {
	l.mail.Lock()
	defer l.mail.Unlock()
	p := post{l.mail.written, l.mail.asked, l.mail.arrived, l.mail.ticks, l.mail.failed}
	l.mail.written, l.mail.asked, l.mail.arrived, l.mail.ticks, l.mail.failed = nil, nil, nil, 0, nil
	return p
}

// run is the goroutine of the loop.
func (n *Node) run() {
	defer n.loop.writer.end()
	defer close(n.loop.gone)
	defer n.failReads(kv.ErrStopping)
	defer n.dropInstall()
	for range n.loop.wake {
		for n.round() {
		}
		if n.over() {
			return
		}
	}
}

// round does what there is to do, and reports whether there may be more.
func (n *Node) round() (more bool) {
	l := &n.loop
	p := l.post()
	if p.failed != nil {
		n.fail(p.failed)
	}
	for _, f := range p.asked {
		f()
	}
	if l.dead != nil {
		return n.refuseAll() || len(p.asked) > 0
	}
	for _, a := range p.arrived {
		n.take(a)
	}
	for _, w := range p.written {
		l.writing--
		l.since = time.Now()
		if w.Snapshot != nil {
			n.beginLoad()
		}
		n.send(l.core.Deliver(w))
	}
	n.takeTicks(p.ticks)
	n.work()
	n.beginInstall()
	proposed := n.proposeNext()
	n.work()
	return proposed || len(p.written)+len(p.asked)+len(p.arrived)+p.ticks > 0
}

// work does what the core asks for until it asks for nothing, or the node is closed before it has
// applied its log.
func (n *Node) work() {
	l := &n.loop
	for l.dead == nil && (l.begun || !n.closed.Load()) {
		w, ok := l.core.Ready()
		if err := l.core.Err(); err != nil {
			n.fail(err)
		}
		if !ok {
			return
		}
		n.follow()
		n.send(w.Send)
		for _, tag := range w.Lost {
			n.lost(tag, kv.ErrNoLeader)
		}
		for _, tag := range w.Unknown {
			n.lost(tag, kv.ErrOutcomeUnknown)
		}
		for _, x := range w.Writes {
			n.write(x)
		}
		if w.Apply != nil && l.dead == nil {
			n.applyWork(w)
		}
		for _, r := range w.Reads {
			n.answerReads(r)
		}
	}
}

// write writes at once on a server that is alone, which has nothing else to do meanwhile, and has the
// writer write where other servers are to hear of this one.
func (n *Node) write(w core.Write) {
	l := &n.loop
	if l.dead != nil || n.keepForInstall(w) {
		return
	}
	if l.writing > 0 || !n.opts.QuickLog && !n.alone() {
		n.beginWrite(w)
		return
	}
	if err := n.storeWrite(w); err != nil {
		n.fail(err)
		return
	}
	n.send(l.core.Deliver(w))
}

// storeWrite makes w durable, and notes for traces how long that took.
func (n *Node) storeWrite(w core.Write) error {
	if n.opts.Traces == nil || len(w.Entries) == 0 {
		return n.store.Write(w)
	}
	began := time.Now()
	err := n.store.Write(w)
	n.writes.note(w, began, n.opts.Log)
	return err
}

// beginWrite has the writer's goroutine write.
func (n *Node) beginWrite(w core.Write) {
	l := &n.loop
	if l.writing == 0 {
		l.since = time.Now()
	}
	l.writing++
	l.writer.begin(w)
}

// maxFlying is how many entries are under way at once in a cluster: while one is on its way to
// the others the next is written here. More are slower where they share a disk.
const maxFlying = 2

// proposeNext sees to it that what waits is logged.
func (n *Node) proposeNext() bool {
	if n.alone() {
		return n.proposeAlone()
	}
	runtime.Gosched()
	forwarded := n.forward()
	return n.logNext() || forwarded
}

// proposeAlone proposes the oldest batch that waits, unless one is under way: with more batches are
// smaller, and the fsyncs that this adds cost more than the time that it saves.
func (n *Node) proposeAlone() bool {
	l := &n.loop
	if l.leading == 0 || l.flying > 0 {
		return false
	}
	// Who is about to run may have a command: let it come along.
	runtime.Gosched()
	b := n.queue.take()
	if b == nil {
		return false
	}
	n.committing.begin(time.Now())
	n.fly(b)
	if err := l.core.Propose(b, b.builder.Finish(n.Now())); err != nil {
		n.landed(b, nil, kv.ErrNoLeader)
	}
	n.queue.reuse(b.builder.Release())
	return true
}

// fly notes that b has left the queue.
func (n *Node) fly(b *batch) {
	n.loop.flying++
	if b.traced != nil {
		b.taken = time.Now()
		n.loop.tracing.flying++
	}
}

// landed tells those who wait for b what became of it.
func (n *Node) landed(b *batch, results []kv.Result, err error) {
	l := &n.loop
	if l.flying--; n.alone() {
		n.committing.end()
	}
	if b.traced != nil {
		n.trace(b, results, err)
	}
	b.finish(results, err)
	if b == l.settling && err == nil {
		n.settled()
	}
}

// lose tells those whose entries could not be applied that their outcome is unknown.
func (n *Node) lose(entries []core.Committed) {
	for _, e := range entries {
		n.lost(e.Tag, kv.ErrOutcomeUnknown)
	}
}

// lost tells those who wait for a proposal that it is lost, or that its outcome is unknown. Those
// of an entry of several servers learn it when an entry of a later term is applied.
func (n *Node) lost(tag any, err error) {
	switch tag := tag.(type) {
	case *batch:
		n.landed(tag, nil, err)
	case logged:
		n.landedEntry()
	case rostered:
		n.landedRoster(tag, err)
	}
}

// fail ends the node: those who wait for what was proposed learn that its outcome is unknown,
// and everybody else that there is no leader.
func (n *Node) fail(err error) {
	l := &n.loop
	if l.dead != nil {
		return
	}
	l.dead, l.leading, l.settling = err, 0, nil
	n.leads.Store(0)
	n.setStatus(fmt.Errorf("%w: %w", kv.ErrNoLeader, err))
	for _, tag := range l.core.Abandon() {
		n.lost(tag, kv.ErrOutcomeUnknown)
	}
	n.abandon()
	n.refuseAll()
	n.failReads(kv.ErrNoLeader)
	n.begin()
	n.opts.Fatal(err)
}

// refuseAll refuses the batches that wait, and reports whether there were any.
func (n *Node) refuseAll() (any bool) {
	for {
		b := n.queue.take()
		if b == nil {
			return any
		}
		any = true
		b.finish(nil, kv.ErrNoLeader)
	}
}

// closeWait is how long a node with other members waits at its end for what is under way.
const closeWait = 2 * time.Second

// over reports whether the loop is to end, and sees to it that no caller asks it any more.
func (n *Node) over() bool {
	l := &n.loop
	if !n.queue.ended() || l.writing > 0 && l.dead == nil {
		return false
	}
	if l.closing.IsZero() {
		l.closing = time.Now()
	}
	if l.flying > 0 && l.dead == nil && (n.alone() || time.Since(l.closing) < closeWait) {
		return false
	}
	n.abandon()
	if l.leading == 0 || !n.alone() {
		n.refuseAll()
	}
	l.mail.Lock()
	defer l.mail.Unlock()
	l.mail.over = n.queue.empty() && len(l.mail.asked)+len(l.mail.written) == 0
	return l.mail.over
}
