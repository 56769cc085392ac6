package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"keywatch/cluster"
	"keywatch/kv"
	"keywatch/kv/progress"
	"keywatch/kv/wake"
	"keywatch/persist"
	"keywatch/persist/disk"
	"keywatch/persist/wal"
	"keywatch/watch"
)

// An Engine is a store and its watches, without a listener. It is safe for
// concurrent use and must be closed.
type Engine struct {
	config Config
	tuning atomic.Pointer[tuning]
	disk   *persist.DB // nil with MemoryOnly
	log    logSizer
	bounds kv.StateOptions
	// current is the state, which an install replaces: replacing guards it and store.
	current   atomic.Pointer[kv.State]
	replacing sync.Mutex
	hub       *watch.Hub
	node      *cluster.Node
	team      *team // nil for a server that is alone
	// members is this server's part in a cluster, nil for one that is alone.
	members *membership
	store   *kv.Store
	// access is about who may use the store.
	access *access

	memory      *memory
	objects     *objectTier // nil without an object store
	checkpoints checkpointer
	background  background
	end         context.CancelFunc // ends what runs
	running     sync.WaitGroup
	closing     sync.Once
	closed      error
}

// logSizer tells how many bytes of log a start would have to replay.
type logSizer interface{ Bytes() int64 }

// Open opens the engine that config describes; its listener, and what belongs
// to one, is not used. It returns when the whole log has been applied. A folder
// that another process has open fails with *disk.LockedError, damage with
// *disk.DamageError. It fails with ctx's error if ctx ends first; the folder is then as
// it was.
func Open(ctx context.Context, config Config) (*Engine, error) {
	if err := config.Validate(); err != nil {
		return nil, err
	}
	life, end := context.WithCancel(context.Background())
	e := &Engine{config: config.withDefaults(), end: end}
	e.tune(&e.config)
	e.checkpoints.init()
	e.background.logger = e.config.Logger
	e.memory = &memory{
		limit: int64(e.config.MemoryMax), stop: life.Done(), wake: wake.New(),
		checkpoint: e.checkpoints.early.Wake, writing: e.checkpoints.running.Load, logger: e.config.Logger.With("component", "memory"),
	}
	e.running.Go(func() { e.background.watch(life.Done()) })
	if err := e.open(ctx); err != nil {
		closed := e.Close()
		if ctx.Err() != nil && closed == nil {
			return nil, ctx.Err()
		}
		return nil, errors.Join(err, closed)
	}
	e.checkpoints.made()
	e.running.Go(func() { e.checkpointLoop(life) })
	if e.members != nil {
		e.members.migration.open(e.migrate)
		e.running.Go(func() { e.leaveWhenRemoved(life) })
		e.running.Go(func() { e.members.watchDisk(life, func() int64 { return freeOf(e.config.Data) }) })
		e.running.Go(func() { e.members.formed(life, e.node) })
	}
	if e.access.on {
		e.running.Go(func() { e.access.watch(life) })
		if e.access.tokens != nil {
			e.running.Go(func() { e.access.tokens.Run(life) })
		}
		if e.members != nil {
			e.running.Go(func() { e.access.endBehind(life) })
		}
	} else if e.members != nil {
		e.running.Go(func() { e.access.awaitUsers(life) })
	}
	e.running.Go(e.memory.evictLoop)
	if e.objects != nil {
		e.running.Go(func() { e.objectLoop(life) })
	}
	return e, nil
}

const (
	// queueShare is the part of the memory, one in queueShare, that writes take at most
	// which wait for the log.
	queueShare = 8
	// sweepShare is the part of the memory, one in sweepShare, that the records may take
	// which are swept as one, twice over; leastRange is what may be swept in any case.
	sweepShare = 16
	leastRange = 4 << 20
	// mailShare is how many bytes of memory there are for each reference to an event
	// that waits for a watcher: a reference has 24.
	mailShare = 16 * 24
)

// open opens the parts in the order in which they need each other.
func (e *Engine) open(ctx context.Context) error {
	began := time.Now()
	e.openState()
	// Before anything is read, because what the log replays may lie there.
	if err := e.openObjects(); err != nil {
		return err
	}
	// Then who this server is: one that joins learns which store it is to have.
	if e.config.peers == nil {
		var err error
		if e.members, err = openMembership(ctx, &e.config, e.access); err != nil {
			return err
		}
	}
	if err := e.openLog(ctx); err != nil {
		return err
	}
	if err := e.startObjects(); err != nil {
		return err
	}
	// Only now, because the new epoch that the mark asked for is in the log.
	if e.disk != nil && e.config.Fsync != "interval" {
		if _, err := disk.Unsynced.Take(disk.OS, e.config.Data); err != nil {
			return err
		}
	}
	e.openStore()
	if err := e.access.begin(ctx); err != nil {
		return err
	}
	e.config.Logger.Info("ready", "position", e.state().Position(), "keys", e.state().Len(), "after", time.Since(began))
	return nil
}

// openState opens the hub, who may do what, and the state. The hub comes first: the state tells it everything
// from its first entry.
func (e *Engine) openState() {
	c := e.config
	e.hub = watch.New(watch.Options{
		History: int64(c.History), MaxWatches: c.MaxWatches, Progress: c.Heartbeat,
		Mail:   int(min(1<<20, max(1<<14, c.MemoryMax/mailShare))),
		Now:    func() int64 { return e.node.Now() }, // there is a node before there is a watch
		Others: func() []string { return e.members.others() },
	})
	e.memory.hub = e.hub
	e.bounds = kv.StateOptions{Publisher: e.hub, MemoryMax: e.memory.share(), SnapshotBytes: min(maxSnapshotBytes, e.memory.limit/snapshotShare), NoDigest: c.alone()}
	if !c.MemoryOnly {
		e.bounds.Cold = tiers{e}
	}
	e.access = newAccess(e)
	e.bounds.Private = e.access.table
	e.current.Store(kv.NewState(e.bounds))
	e.memory.state = e.state
}

// openLog opens the disk, from whose checkpoint the state starts, and then Raft, which applies what the log
// holds beyond that.
func (e *Engine) openLog(ctx context.Context) error {
	c := e.config
	opts := cluster.Options{
		State: e.state(), Params: c.params(), Limits: c.limits(), QueueCommands: c.MaxQueue,
		QueueBytes: int(min(64<<20, max(1<<20, c.MemoryMax/queueShare))),
		Fatal:      c.Fatal, Logger: c.Logger.With("component", "cluster"),
	}
	if c.Tracer != nil {
		opts.Traces = e.hub
	}
	if err := e.openDisk(ctx, &opts); err != nil {
		return err
	}
	replay := e.beginReplay()
	node, err := e.openNode(ctx, opts)
	replay.End()
	if err != nil {
		return fmt.Errorf("start: %w", err)
	}
	e.node = node
	e.memory.node.Store(node)
	return nil
}

// openStore opens what requests use.
func (e *Engine) openStore() {
	e.hub.Bind(states{e})
	e.replacing.Lock()
	defer e.replacing.Unlock()
	e.store = kv.NewStore(e.state(), e.node, e.config.limits())
	e.store.Guard(e.memory)
}

// state returns the state that there is now.
func (e *Engine) state() *kv.State { return e.current.Load() }

// openNode opens the node, alone or with others.
func (e *Engine) openNode(ctx context.Context, opts cluster.Options) (n *cluster.Node, err error) {
	opts.LogKeep = int64(e.config.Peers.LogKeep)
	if m := e.members; m != nil {
		opts.Snapshots = snapshots{e}
		return m.open(ctx, opts, e.disk.Store(), e.state())
	}
	if e.config.peers == nil {
		return cluster.Open(ctx, opts)
	}
	if e.disk != nil {
		opts.Snapshots = snapshots{e}
	}
	if e.team, err = e.config.peers.join(&opts); err != nil {
		return nil, err
	}
	if n, err = cluster.Open(ctx, opts); err != nil {
		return nil, err
	}
	if err := e.team.await(ctx, n); err != nil {
		return nil, errors.Join(err, n.Close())
	}
	return n, nil
}

// beginReplay notes that the log is about to be applied.
func (e *Engine) beginReplay() *progress.Task {
	task := e.background.board.Begin("replay", "entries")
	if e.disk != nil {
		if last, err := e.disk.Log().LastIndex(); err == nil {
			from := e.state().Applied()
			task.Expect(int64(last - min(last, from)))
			task.Follow(func() int64 { return int64(e.state().Applied() - from) })
		}
	}
	return task
}

func (e *Engine) openDisk(ctx context.Context, opts *cluster.Options) error {
	c := e.config
	if c.MemoryOnly {
		mem := wal.NewMemLog()
		e.log, e.memory.log = mem, mem
		opts.Log, opts.Stable, opts.Checkpoints, opts.QuickLog = mem, new(wal.MemStable), cluster.MemoryCheckpoints{}, true
		return nil
	}
	policy := wal.SyncAlways
	if c.Fsync == "interval" {
		policy = wal.SyncInterval
	}
	db, err := persist.Open(c.Data, persist.Options{
		FS: c.disk, Sync: policy, Interval: c.FsyncInterval, Fatal: c.Fatal, Logger: c.Logger.With("component", "persist"),
		Existing: c.Existing, Release: c.Version, Store: e.joined(), LoadPinned: e.loadPinned, Short: e.checkpoints.early.Wake,
		Progress: &e.background.board, Interrupt: ctx.Done(),
		RangeBytes: min(persist.DefaultRangeBytes, max(leastRange, int64(c.MemoryMax)/sweepShare)),
	})
	if err != nil {
		return fmt.Errorf("open %s: %w", c.Data, err)
	}
	e.disk, e.log = db, db.Log()
	load := context.AfterFunc(ctx, db.GiveUp)
	if _, err := db.Load(e.state()); err != nil {
		return fmt.Errorf("load %s: %w", c.Data, err)
	}
	if !load() {
		return ctx.Err() // it was given up, so that there can be no checkpoint any more
	}
	opts.Log, opts.Stable, opts.Checkpoints = db.Log(), db.Stable(), db
	opts.Room, opts.Short = db.Log().Room, db.Log().Short
	unsynced, err := disk.Unsynced.In(disk.OS, c.Data)
	if err != nil {
		return err
	}
	opts.NewEpoch = unsynced && !db.Clean()
	if policy == wal.SyncInterval {
		return disk.Unsynced.Put(disk.OS, c.Data)
	}
	return nil
}

// joined returns the id of the store that the server has joined, 0 if the folder says which it is.
func (e *Engine) joined() disk.StoreID {
	if e.members == nil {
		return 0
	}
	return e.members.me().Cluster
}

// Store returns the store.
func (e *Engine) Store() *kv.Store { return e.store }

// Hub returns the watch hub.
func (e *Engine) Hub() *watch.Hub { return e.hub }

// Ready returns nil while writes are accepted, else why not.
func (e *Engine) Ready() error {
	ready := e.node.Ready
	if e.members != nil {
		ready = func() error { return e.members.ready(e.node) }
	}
	return cmp.Or(ready(), e.access.serving())
}

// Serving returns nil while requests are answered, else why not. One of several servers that is not ready
// still answers what it can.
func (e *Engine) Serving() error {
	serving := e.node.Ready
	if e.members != nil {
		serving = func() error { return e.members.serving(e.node, e.state().Position()) }
	}
	return cmp.Or(serving(), e.access.serving(), e.access.furnished())
}

// memberID returns the id of this server, empty where it is not one of a cluster.
func (e *Engine) memberID() string {
	if e.members == nil {
		return ""
	}
	return e.members.me().ID.String()
}

// alone reports whether no other server has the store.
func (e *Engine) alone() bool { return e.members == nil && e.team == nil }

// leads reports whether this server orders the writes.
func (e *Engine) leads() bool { return e.node.Stats().Leader }

// Durability names what an acknowledged write has reached: "memory", "buffered"
// or "fsync".
func (e *Engine) Durability() string {
	switch {
	case e.config.MemoryOnly:
		return "memory"
	case e.config.Fsync == "interval":
		return "buffered"
	}
	return "fsync"
}

// errNothingKept is returned by what needs a disk where there is none.
var errNothingKept = errors.New("this store keeps nothing on disk")

// Backup makes a checkpoint and writes a consistent copy of the store to w. It
// returns the bytes written.
func (e *Engine) Backup(ctx context.Context, w io.Writer) (int64, error) {
	if e.disk == nil {
		return 0, errNothingKept
	}
	if err := e.Checkpoint(ctx); err != nil {
		return 0, err
	}
	task := e.background.board.Begin("backup", "bytes")
	defer task.End()
	task.Expect(e.backupSize())
	return e.disk.Backup(ctx, countedWriter{w, task})
}

// backupSize returns about how many bytes a backup has.
func (e *Engine) backupSize() int64 {
	if e.disk == nil {
		return 0
	}
	n, _ := e.disk.BackupSize()
	return n
}

// Compact gives the space of what was deleted back to the file system.
func (e *Engine) Compact(ctx context.Context) error {
	if e.disk == nil {
		return errNothingKept
	}
	// What was deleted since the last checkpoint is only gone after the next.
	if err := e.Checkpoint(ctx); err != nil {
		return err
	}
	return overtaken(e.disk.Compact(ctx))
}
