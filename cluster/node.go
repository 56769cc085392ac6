package cluster

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"

	"keywatch/kv"
)

// DefaultID is what a server is called in the Raft configuration, and its
// address there, while it is alone.
const DefaultID = "keywatch-1"

// Options configure a Node. Log, Stable, Snapshots and State are required; the
// zero value of the others is their default.
type Options struct {
	// Log must be monotonic; like Stable it must end the process rather than go
	// on after a failed write.
	Log       raft.LogStore
	Stable    raft.StableStore
	Snapshots raft.SnapshotStore
	// State has been loaded from the newest snapshot in Snapshots.
	State *kv.State
	// ID names this server in the Raft configuration; DefaultID.
	ID string
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
	// Fatal is called, once, when the node cannot go on: an entry could not be
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
	if o.ID == "" {
		o.ID = DefaultID
	}
	if o.Fatal == nil {
		o.Fatal = func(err error) { panic(err) }
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

// A Node is one server's part in the cluster. It implements kv.Log and is safe
// for concurrent use.
type Node struct {
	opts  Options
	state *kv.State
	raft  *raft.Raft
	trans *localTransport

	// status is nil once the node is ready, else why it is not.
	status atomic.Pointer[error]
	clock  atomic.Pointer[clock]
	queue  queue
	ticker ticker
	// committing is when the commit under way began.
	committing since

	stop    chan struct{} // closed by Close
	closing sync.Once
	running sync.WaitGroup
	stats   counters
}

// Open starts a node and waits, at most until ctx ends, for it to lead, to have
// applied its whole log, and to have agreed on epoch and parameters. A store
// without history is bootstrapped as a cluster of one.
func Open(ctx context.Context, opts Options) (*Node, error) {
	n := &Node{opts: opts.withDefaults(), state: opts.State, stop: make(chan struct{})}
	n.queue.init(n.opts)
	n.ticker.init()
	n.setStatus(kv.ErrStarting)
	n.trans = newLocalTransport(raft.ServerAddress(n.opts.ID))
	if err := n.startRaft(); err != nil {
		return nil, err
	}
	n.running.Go(n.commitLoop)
	if err := n.lead(ctx); err != nil {
		return nil, errors.Join(err, n.Close())
	}
	n.running.Go(n.tick)
	return n, nil
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

func (n *Node) startRaft() error {
	conf := raft.DefaultConfig()
	conf.LocalID = raft.ServerID(n.opts.ID)
	// Heartbeats wait behind log writes (see localTransport), so the timeouts
	// leave room for a slow fsync.
	conf.HeartbeatTimeout, conf.ElectionTimeout, conf.LeaderLeaseTimeout = 2*time.Second, 2*time.Second, time.Second
	conf.NoSnapshotRestoreOnStart = true // app has loaded the state
	conf.SnapshotThreshold = math.MaxUint64
	conf.SnapshotInterval = 24 * time.Hour
	conf.TrailingLogs = 0
	conf.BatchApplyCh = true
	conf.PreVoteDisabled = true // nobody else votes
	conf.LogLevel = "WARN"
	conf.LogOutput = lineLogger{n}

	known, err := raft.HasExistingState(n.opts.Log, n.opts.Stable, n.opts.Snapshots)
	if err != nil {
		return fmt.Errorf("read raft state: %w", err)
	}
	if !known {
		self := raft.Server{ID: conf.LocalID, Address: n.trans.LocalAddr()}
		err := raft.BootstrapCluster(conf, n.opts.Log, n.opts.Stable, n.opts.Snapshots, n.trans,
			raft.Configuration{Servers: []raft.Server{self}})
		if err != nil {
			return fmt.Errorf("bootstrap raft: %w", err)
		}
	}
	n.raft, err = n.newRaft(conf)
	if err != nil {
		return fmt.Errorf("start raft: %w", err)
	}
	return nil
}

// newRaft starts Raft. It panics where it cannot write its term, which is an error like any
// other here.
func (n *Node) newRaft(conf *raft.Config) (r *raft.Raft, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%v", p)
		}
	}()
	return raft.NewRaft(conf, fsm{n}, n.opts.Log, n.opts.Stable, n.opts.Snapshots, n.trans)
}

// lead makes this node, a sole voter, leader without waiting for an election
// timeout; then it catches up, starts the clock and agrees on the settings.
func (n *Node) lead(ctx context.Context) error {
	if err := n.checkAlone(); err != nil {
		return err
	}
	if err := n.trans.timeoutNow(ctx); err != nil {
		return fmt.Errorf("become leader: %w", err)
	}
	if err := n.awaitLeader(ctx); err != nil {
		return fmt.Errorf("become leader: %w", err)
	}
	if err := await(ctx, n.raft.Barrier(0)); err != nil {
		return fmt.Errorf("apply the log: %w", err)
	}
	if err := n.Ready(); err != kv.ErrStarting {
		return err // the log could not be applied
	}
	n.ticker.note(n.state.NextDeadline()) // of the checkpoint, if the log was empty
	n.startClock()
	if err := n.agree(); err != nil {
		return fmt.Errorf("agree on settings: %w", err)
	}
	n.setStatus(nil)
	return nil
}

// checkAlone returns an error unless this server is the only one of its store: it would
// wait for the others' votes for ever.
func (n *Node) checkAlone() error {
	servers := n.raft.GetConfiguration().Configuration().Servers
	if len(servers) == 1 && servers[0].ID == raft.ServerID(n.opts.ID) && servers[0].Suffrage == raft.Voter {
		return nil
	}
	ids := make([]raft.ServerID, len(servers))
	for i, s := range servers {
		ids[i] = s.ID
	}
	return fmt.Errorf("the servers of this store are %q, and this one is %q, which must be the only one: run it where it belongs, or restore a backup of it into another folder", ids, n.opts.ID)
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

func (n *Node) awaitLeader(ctx context.Context) error {
	leader := n.raft.LeaderCh()
	for n.raft.State() != raft.Leader {
		select {
		case <-leader:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// agree logs the settings if the state has others.
func (n *Node) agree() error {
	u := kv.Setup{Params: n.opts.Params.WithDefaults()}
	if n.opts.NewEpoch || n.state.Position().Epoch == 0 {
		u.Epoch = drawEpoch()
	} else if n.state.Params() == u.Params {
		return nil
	}
	var b kv.EntryBuilder
	b.AddSetup(u)
	return n.raft.Apply(b.Finish(n.Now()), 0).Error()
}

// await waits for what Raft was asked to do, at most until ctx ends: Raft goes on with it
// then, until Close.
func await(ctx context.Context, f raft.Future) error {
	done := make(chan error, 1) // the outcome, sent once
	go func() { done <- f.Error() }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Checkpoint writes a checkpoint and lets go of the log before it. It waits until that is
// done, or ctx ends: then the checkpoint goes on behind, and Close waits for it.
func (n *Node) Checkpoint(ctx context.Context) error {
	err := await(ctx, n.raft.Snapshot())
	if errors.Is(err, raft.ErrNothingNewToSnapshot) {
		return nil
	}
	return err
}

// Close stops taking commands, waits for those in flight, and ends Raft. It may
// be called twice.
func (n *Node) Close() (err error) {
	n.closing.Do(func() {
		n.Drain()
		close(n.stop)
		n.queue.close() // commitLoop ends when the queue is empty
		n.running.Wait()
		err = n.raft.Shutdown().Error()
	})
	return err
}

// Drain makes the node refuse new commands with kv.ErrStopping.
func (n *Node) Drain() { n.setStatus(kv.ErrStopping) }

// lineLogger hands Raft's own log lines on: a time, a level in brackets, and text. While
// the node stops they are information: what is given up then is no error.
type lineLogger struct{ node *Node }

var _ io.Writer = lineLogger{}

func (l lineLogger) Write(line []byte) (int, error) {
	level := slog.LevelWarn
	head, text, ok := bytes.Cut(bytes.TrimSpace(line), []byte("] "))
	if !ok {
		text = head
	} else if bytes.HasSuffix(head, []byte("[ERROR")) {
		level = slog.LevelError
	}
	if l.node.Ready() == kv.ErrStopping {
		level = slog.LevelInfo
	}
	l.node.opts.Logger.Log(context.Background(), level, string(bytes.TrimSpace(text)))
	return len(line), nil
}
