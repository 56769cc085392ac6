package cluster

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"

	"keywatch/cluster/core"
	"keywatch/kv"
	"keywatch/kv/wake"
)

// Options configure a Node. Log, Stable, Checkpoints and State are required; the
// zero value of the others is their default.
type Options struct {
	Log         core.Log
	Stable      core.Stable
	Checkpoints Checkpoints
	// State has been loaded from the last of Checkpoints.
	State *kv.State
	// QuickLog says that a write to Log waits for no disk.
	QuickLog bool
	// NewEpoch begins a new history, because acknowledged writes may have been
	// lost. A store without history begins one anyway.
	NewEpoch bool
	// Room returns why the log can take no more, nil if it can. While it cannot,
	// commands are refused with kv.ErrDiskFull and log time stands still, because
	// nobody could keep a lease alive. It is called for each command; nil is for a
	// log that always has room.
	Room func() error
	// Params are the bounds that the state is to enforce.
	Params kv.Params
	// QueueCommands and QueueBytes bound what waits for the log; 16,384 and 64
	// MiB.
	QueueCommands int
	QueueBytes    int
	// EntryCommands and EntryBytes bound one log entry, unless a single command
	// is larger; 512 and 256 KiB.
	EntryCommands int
	EntryBytes    int
	// Fatal is called, once, when the node cannot go on: an entry could not be written or
	// applied. It should end the process. The default panics.
	Fatal func(error)
	// Logger receives changes of state; nil discards them.
	Logger *slog.Logger
}

func (o Options) withDefaults() Options {
	set := func(field *int, value int) {
		if *field == 0 {
			*field = value
		}
	}
	set(&o.QueueCommands, 16_384)
	set(&o.QueueBytes, 64<<20)
	set(&o.EntryCommands, 512)
	set(&o.EntryBytes, 256<<10)
	if o.Fatal == nil {
		o.Fatal = func(err error) { panic(err) }
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

// Checkpoints keep the state as it is after an entry, so that the log before it can go.
type Checkpoints interface {
	// Checkpoint writes cp, the state after the entry at index, which has term. cp belongs
	// to it: it commits or aborts cp.
	Checkpoint(cp *kv.Checkpoint, index, term uint64) error
	// Last returns what the last call of Checkpoint that succeeded was given; 0 and 0 if
	// there was none.
	Last() (index, term uint64)
}

// MemoryCheckpoints are those of a server that keeps nothing: a checkpoint only lets it cut
// its log.
type MemoryCheckpoints struct{}

// Checkpoint commits cp.
func (MemoryCheckpoints) Checkpoint(cp *kv.Checkpoint, _, _ uint64) error {
	cp.Commit()
	return nil
}

// Last returns 0 and 0: there is nothing to start from.
func (MemoryCheckpoints) Last() (index, term uint64) { return 0, 0 }

// A Node is one server's part in the cluster. It implements kv.Log and is safe
// for concurrent use.
type Node struct {
	opts  Options
	state *kv.State
	store *core.Storage
	loop  loop

	// status is nil once the node is ready, else why it is not.
	status atomic.Pointer[error]
	clock  atomic.Pointer[clock]
	queue  queue
	ticker ticker
	// committing is when the commit under way began.
	committing since
	// checkpointing holds a token; who has taken it may have a checkpoint made.
	checkpointing chan struct{}

	stop    chan struct{} // closed by Close
	closing sync.Once
	running sync.WaitGroup
	stats   counters
}

// Open starts a node and waits, at most until ctx ends, for it to lead, to have
// applied its whole log, and to have agreed on epoch and parameters. A store
// without history begins as a cluster of one.
func Open(ctx context.Context, opts Options) (*Node, error) {
	n := &Node{opts: opts.withDefaults(), state: opts.State, stop: make(chan struct{}), checkpointing: make(chan struct{}, 1)}
	n.checkpointing <- struct{}{}
	n.queue.init(n.opts)
	n.ticker.init()
	n.setStatus(kv.ErrStarting)
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := n.start(); err != nil {
		return nil, fmt.Errorf("start raft: %w", err)
	}
	if err := n.lead(ctx); err != nil {
		return nil, errors.Join(err, n.Close())
	}
	n.running.Go(n.tick)
	return n, nil
}

// start starts Raft, and has it stand for election at once: nobody else could be leader.
func (n *Node) start() (err error) {
	var start core.Point
	start.Index, start.Term = n.opts.Checkpoints.Last()
	n.store, err = core.OpenStorage(core.StorageOptions{Log: n.opts.Log, Stable: n.opts.Stable, Start: start})
	if err != nil {
		return err
	}
	l := &n.loop
	l.wake, l.led, l.applied = n.queue.wake, make(chan struct{}), start
	l.writer = writer{store: n.store, written: l.written, wake: wake.New()}
	if l.core, err = core.New(core.Options{Storage: n.store, Logger: n.opts.Logger}); err != nil {
		return err
	}
	l.core.Campaign()
	n.running.Go(l.writer.run)
	n.running.Go(n.run)
	l.wake.Wake()
	return nil
}

func (n *Node) setStatus(err error) {
	if err == nil {
		n.status.Store(nil)
		return
	}
	n.status.Store(&err)
}

// Ready returns nil while the node takes commands, else why it does not.
func (n *Node) Ready() error {
	if err := n.status.Load(); err != nil {
		return *err
	}
	return nil
}

// lead waits until this node leads and has applied its log; then it starts the clock and agrees
// on the settings.
func (n *Node) lead(ctx context.Context) error {
	select {
	case <-n.loop.led:
	case <-ctx.Done():
		return fmt.Errorf("become leader: %w", ctx.Err())
	}
	if err := n.Ready(); err != kv.ErrStarting {
		return err // the log could not be read, written or applied
	}
	if err := n.agree(ctx); err != nil {
		return fmt.Errorf("agree on settings: %w", err)
	}
	n.setStatus(nil)
	return nil
}

// drawEpoch returns a random epoch that is not 0.
func drawEpoch() kv.Epoch {
	for {
		var b [4]byte
		rand.Read(b[:]) // never fails
		if e := kv.Epoch(binary.BigEndian.Uint32(b[:])); e != 0 {
			return e
		}
	}
}

// agree logs the settings if the state has others.
func (n *Node) agree(ctx context.Context) error {
	u := kv.Setup{Params: n.opts.Params.WithDefaults()}
	if n.opts.NewEpoch || n.state.Position().Epoch == 0 {
		u.Epoch = drawEpoch()
	} else if n.state.Params() == u.Params {
		return nil
	}
	b := n.queue.addSetup(u)
	select {
	case <-b.done:
		return b.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Close stops taking commands, waits for those in flight and for a checkpoint, and ends. It may
// be called twice.
func (n *Node) Close() error {
	n.closing.Do(func() {
		n.Drain()
		close(n.stop)
		n.queue.close() // the loop ends when the queue is empty
		n.running.Wait()
	})
	return nil
}

// Drain makes the node refuse new commands with kv.ErrStopping.
func (n *Node) Drain() { n.setStatus(kv.ErrStopping) }
