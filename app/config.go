package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"time"

	"keywatch/kv"
	"keywatch/kv/trace"
	"keywatch/persist/disk"
	"keywatch/persist/object"
)

// Config configures an engine. The zero value of each field is its default, but for
// Data: an engine needs a folder or MemoryOnly. The tags are for the command line.
type Config struct {
	Data       string `help:"Folder that keeps the data." default:"./keywatch-data" placeholder:"DIR" group:"Data"`
	Existing   bool   `help:"Refuse to start if the data folder holds no store, such as a mount point that is not mounted, instead of beginning a new store there." group:"Data"`
	MemoryOnly bool   `help:"Store nothing on disk: everything is lost when the server stops." group:"Data"`
	Fsync      string `help:"When a write is acknowledged: always, once it is fsynced, or interval, once it is written; then fsyncs follow every --fsync-interval and a power failure loses what was not." default:"always" enum:"always,interval" group:"Data"`
	// FsyncInterval is used with Fsync "interval".
	FsyncInterval time.Duration `help:"Time between fsyncs with --fsync=interval." default:"100ms" group:"Data"`

	MemoryMax Size `help:"Memory for values, keys, their metadata and the history, and with --memory-only the log; values beyond it are stored on disk only. By default half of what the process may use." placeholder:"SIZE" group:"Memory"`
	History   Size `help:"Memory for recent events, from which watches resume. By default 64MiB, or a quarter of --memory-max if that is less." placeholder:"SIZE" group:"Memory"`

	MaxValue      Size          `help:"Largest value." default:"1MiB" group:"Limits"`
	MaxBatch      Size          `help:"Largest batch: its keys and values together. By default 8MiB, or a quarter of --memory-max if that is less." placeholder:"SIZE" group:"Limits"`
	MaxBatchOps   int           `help:"Most operations in one batch." default:"1024" group:"Limits"`
	MaxDelete     int           `help:"Most keys that one deletion by prefix removes." default:"10000" group:"Limits"`
	MaxQueue      int           `help:"Most writes that wait for the log; more are answered 503." default:"16384" group:"Limits"`
	MaxWatches    int           `help:"Most watches open at once." default:"100000" group:"Limits"`
	TombstoneMax  int           `help:"Most deletions remembered for watches that resume. By default 100000, or one for each 2KiB of --memory-max if that is less." placeholder:"N" group:"Limits"`
	TombstoneAge  time.Duration `help:"How long a deletion is remembered." default:"1h" group:"Limits"`
	IdemAge       time.Duration `help:"How long the outcome for an Idempotency-Key is kept." default:"10m" group:"Limits"`
	IdemMax       int           `help:"Most outcomes kept." default:"1000000" group:"Limits"`
	IdemPerCaller int           `help:"Most outcomes kept for one caller." default:"100000" group:"Limits"`
	IdemBytes     Size          `help:"Memory for the outcomes kept, of which one caller may have half. By default a quarter of --memory-max, at most 256 MiB." placeholder:"SIZE" group:"Limits"`

	LeaseMax       int `help:"Most leases that exist at once, those of locks and their queues included." default:"500000" group:"Limits"`
	LeasePerCaller int `help:"Most leases of one caller." default:"200000" group:"Limits"`
	LeaseKeys      int `help:"Most keys on one lease; they are deleted in one revision, which should fit into the history." default:"10000" group:"Limits"`

	CheckpointBytes Size          `help:"A checkpoint is written when this much has changed." default:"64MiB" group:"Data"`
	CheckpointEvery time.Duration `help:"A checkpoint is written when something changed this long ago." default:"5m" group:"Data"`

	ObjectStore string        `help:"Object store for cold values: s3://bucket/prefix?endpoint=URL&region=NAME, with credentials from the usual AWS environment and files, or dir:///path. By default a folder in the data folder, once --object-after or --disk-max is set." placeholder:"URL" group:"Object storage"`
	ObjectAfter time.Duration `help:"Move values that were not read or written for this long, or up to twice as long, to the object store." group:"Object storage"`
	DiskMax     Size          `help:"Move values to the object store while the records on disk take more than this." placeholder:"SIZE" group:"Object storage"`
	BackupKeep  time.Duration `help:"How long an unused object is kept in the object store, so that older backups can be restored." default:"168h" group:"Object storage"`
	SegmentSize Size          `help:"Size of one object, about." default:"8MiB" group:"Object storage"`

	Heartbeat time.Duration `help:"How often an idle stream is sent its position." default:"15s" group:"Network"`

	objectPoll, objectTidy, objectGrace time.Duration
	// objectHold, if not nil, holds up moving between two pieces of work.
	objectHold func(context.Context)
	// objectRead bounds the reading of one value from object storage, attempts and
	// all.
	objectRead time.Duration
	objectStep func(object.Step) error
	// disk is the file system of the log; nil is that of the system.
	disk disk.FS

	// AuthConfig is about who may use the store.
	AuthConfig `embed:""`

	// Peers are about the other servers of the store.
	Peers PeerConfig `embed:""`
	// peers are the other servers of the store, nil for none.
	peers *peers

	// Tracer records what sampled requests wait for in the engine; nil if none are sampled.
	Tracer *trace.Tracer `kong:"-"`
	// Version is the release of the program: /v1/status shows it, and a data folder
	// remembers which release gave it its format.
	Version string `kong:"-"`
	// Logger receives changes of state; nil discards them.
	Logger *slog.Logger `kong:"-"`
	// Fatal is called when the engine cannot go on, because the disk failed. It
	// should end the process. The default panics.
	Fatal func(error) `kong:"-"`
}

// orDefault sets a field that is zero.
func orDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// alone reports whether the server has no others beside it, and cannot get any while it runs.
func (c Config) alone() bool { return c.Peers.PeerListen == "" && c.peers == nil }

func (c Config) withDefaults() Config {
	orDefault(&c.Fsync, "always")
	if c.MemoryMax == 0 {
		c.MemoryMax = max(Size(processMemory(os.DirFS("/"), machineMemory)/2), 2*c.History)
	}
	orDefault(&c.History, min(64<<20, c.MemoryMax/historyShare))
	orDefault(&c.MaxBatch, max(minBatch, c.MaxValue, min(8<<20, c.MemoryMax/4)))
	orDefault(&c.TombstoneMax, int(max(1, min(100_000, c.MemoryMax/(2<<10)))))
	orDefault(&c.IdemBytes, max(1, min(256<<20, c.MemoryMax/4)))
	orDefault(&c.CheckpointBytes, 64<<20)
	orDefault(&c.CheckpointEvery, 5*time.Minute)
	orDefault(&c.BackupKeep, 168*time.Hour)
	c.Peers = c.Peers.withDefaults()
	c.AuthConfig = c.AuthConfig.withDefaults()
	orDefault(&c.objectPoll, 10*time.Second)
	orDefault(&c.objectTidy, 15*time.Minute)
	orDefault(&c.objectRead, 8*time.Second) // a request gives up after ten
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Fatal == nil {
		c.Fatal = func(err error) { panic(err) }
	}
	return c
}

// minBatch is the least that the largest batch can be.
const minBatch = 1 << 20

// historyShare is the largest part of the memory, one in historyShare, that history
// takes by default.
const historyShare = 4

// A setting is a field that must not be negative, and its flag.
type setting struct {
	flag  string
	value int64
}

// checkSettings returns an error that names the first of list that is negative.
func checkSettings(list []setting) error {
	for _, s := range list {
		if s.value < 0 {
			return fmt.Errorf("%s: must not be negative", s.flag)
		}
	}
	return nil
}

// settings lists the fields that must not be negative, in the order of the flags.
func (c Config) settings() []setting {
	return []setting{
		{"fsync-interval", int64(c.FsyncInterval)},
		{"memory-max", int64(c.MemoryMax)}, {"history", int64(c.History)},
		{"max-value", int64(c.MaxValue)}, {"max-batch", int64(c.MaxBatch)}, {"max-batch-ops", int64(c.MaxBatchOps)},
		{"max-delete", int64(c.MaxDelete)}, {"max-queue", int64(c.MaxQueue)}, {"max-watches", int64(c.MaxWatches)},
		{"tombstone-max", int64(c.TombstoneMax)}, {"tombstone-age", int64(c.TombstoneAge)},
		{"idem-age", int64(c.IdemAge)}, {"idem-max", int64(c.IdemMax)}, {"idem-per-caller", int64(c.IdemPerCaller)},
		{"idem-bytes", int64(c.IdemBytes)},
		{"lease-max", int64(c.LeaseMax)}, {"lease-per-caller", int64(c.LeasePerCaller)}, {"lease-keys", int64(c.LeaseKeys)},
		{"checkpoint-bytes", int64(c.CheckpointBytes)}, {"checkpoint-every", int64(c.CheckpointEvery)},
		{"object-after", int64(c.ObjectAfter)}, {"disk-max", int64(c.DiskMax)},
		{"backup-keep", int64(c.BackupKeep)}, {"segment-size", int64(c.SegmentSize)},
		{"heartbeat", int64(c.Heartbeat)},
		{"peer-snapshot-rate", int64(c.Peers.PeerSnapshotRate)}, {"log-keep", int64(c.Peers.LogKeep)},
	}
}

// Validate returns an error that names the first field, in the order of the flags,
// that cannot be used.
func (c Config) Validate() error {
	c = c.withDefaults()
	if c.Data == "" && !c.MemoryOnly {
		return errors.New("data: a folder is required, or --memory-only to store nothing on disk")
	}
	if runtime.GOOS == "windows" && !c.MemoryOnly {
		return errors.New("data: a store on disk is not supported on Windows, which cannot sync a folder; use --memory-only there")
	}
	if c.Fsync != "always" && c.Fsync != "interval" {
		return fmt.Errorf("fsync: expected always or interval, got %q", c.Fsync)
	}
	if err := checkSettings(c.settings()); err != nil {
		return err
	}
	if c.MemoryMax < 2*c.History {
		return fmt.Errorf("memory-max: %v is less than twice the --history of %v", c.MemoryMax, c.History)
	}
	if c.MaxBatch < max(c.MaxValue, minBatch) {
		return fmt.Errorf("max-batch: must have room for one value and a key, at least %v", max(c.MaxValue, minBatch))
	}
	if c.MaxBatch > c.MemoryMax/2 {
		return fmt.Errorf("max-batch: %v is more than half of --memory-max %v, so that there might never be room for one", c.MaxBatch, c.MemoryMax)
	}
	if c.MemoryOnly && (c.ObjectStore != "" || c.ObjectAfter != 0 || c.DiskMax != 0) {
		return errors.New("object-store, object-after, disk-max: not supported with --memory-only")
	}
	if c.MemoryOnly && c.Existing {
		return errors.New("existing: not supported with --memory-only")
	}
	if err := c.AuthConfig.validate(c.MemoryOnly); err != nil {
		return err
	}
	if c.SegmentSize > 64<<20 {
		return errors.New("segment-size: must be at most 64MiB")
	}
	if c.Peers.together() {
		return c.checkTogether()
	}
	return c.Peers.validate()
}

// checkTogether returns an error for what one of several servers cannot be.
func (c Config) checkTogether() error {
	switch {
	case c.MemoryOnly:
		return errors.New("memory-only: not supported with --peer-listen: a server that forgets what it acknowledged must not vote")
	case c.Fsync == "interval":
		return errors.New("fsync: interval is not supported with --peer-listen: a server that forgets what it acknowledged must not vote")
	case c.ObjectStore == "" && (c.ObjectAfter != 0 || c.DiskMax != 0):
		return errors.New("object-after, disk-max: require --object-store with --peer-listen: all servers must be able to read what one has moved")
	case c.MaxBatch > maxPeerBatch:
		return fmt.Errorf("max-batch: at most %v with --peer-listen, so that it fits into a frame between servers", Size(maxPeerBatch))
	}
	return c.Peers.validate()
}

func (c Config) limits() kv.Limits {
	return kv.Limits{Value: int(c.MaxValue), Ops: c.MaxBatchOps, Command: int(c.MaxBatch)}
}

func (c Config) params() kv.Params {
	return kv.Params{
		TombstoneMax: c.TombstoneMax, TombstoneAge: c.TombstoneAge,
		IdemAge: c.IdemAge, IdemMax: c.IdemMax, IdemPerCaller: c.IdemPerCaller, IdemBytes: int64(c.IdemBytes),
		DeleteMax: c.MaxDelete,
		LeaseMax:  c.LeaseMax, LeasePerCaller: c.LeasePerCaller, LeaseKeys: c.LeaseKeys,
	}
}
