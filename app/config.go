package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"strings"
	"time"

	"keywatch/kv"
	"keywatch/persist/object"
	"keywatch/ratelimit"
)

// Config is what an engine and a server can be told. The zero value of each
// field is its default, but for Data: an engine needs a folder or MemoryOnly.
// The tags are for the command line.
type Config struct {
	Data       string `help:"Folder that keeps the data." default:"./keywatch-data" placeholder:"DIR"`
	MemoryOnly bool   `help:"Keep nothing on disk: all is lost at the end."`
	Fsync      string `help:"When a write is acknowledged: always, once it is fsynced, or interval, once it is written; then fsyncs follow every --fsync-interval and a power failure loses what was not." default:"always" enum:"always,interval"`
	// FsyncInterval is used with Fsync "interval".
	FsyncInterval time.Duration `help:"Time between fsyncs with --fsync=interval." default:"100ms"`

	MemoryMax Size `help:"Memory for values, keys, their metadata and the history; values beyond it lie on disk only. By default half of what the process may use." placeholder:"SIZE"`

	// HugePages is for Serve: Open leaves the memory of its process alone.
	HugePages string `help:"Whether memory that is in use is moved to huge pages, which makes stores of many keys quicker: auto, where the kernel can do it, or off." default:"auto" enum:"auto,off"`

	History Size `help:"Memory for recent events, from which watches resume." default:"64MiB"`

	MaxValue       Size          `help:"Largest value." default:"1MiB"`
	MaxBatch       Size          `help:"Largest batch: its keys and values together." default:"8MiB"`
	MaxBatchOps    int           `help:"Most operations in one batch." default:"1024"`
	MaxDelete      int           `help:"Most keys that one deletion by prefix removes." default:"10000"`
	MaxQueue       int           `help:"Most writes that wait for the log; more are answered 503." default:"16384"`
	MaxWatches     int           `help:"Most watches open at once." default:"100000"`
	MaxConnections int           `help:"Most connections that ask and answer; streams do not count." default:"10000"`
	MaxFiles       int           `help:"Most connections of both kinds together; 0 is what the system lets the process open, less 512."`
	TombstoneMax   int           `help:"Most deletions remembered for watches that resume." default:"100000"`
	TombstoneAge   time.Duration `help:"How long a deletion is remembered." default:"1h"`
	IdemAge        time.Duration `help:"How long the outcome for an Idempotency-Key is kept." default:"10m"`
	IdemMax        int           `help:"Most outcomes kept." default:"1000000"`
	IdemPerCaller  int           `help:"Most outcomes kept for one caller." default:"100000"`
	IdemBytes      Size          `help:"Memory for the outcomes kept, of which one caller may have half. By default a quarter of --memory-max." placeholder:"SIZE"`

	LeaseMax       int `help:"Most leases that live at once, those of locks and their queues included." default:"500000"`
	LeasePerCaller int `help:"Most leases of one caller." default:"200000"`
	LeaseKeys      int `help:"Most keys on one lease; they all go in one revision, and history should hold them." default:"10000"`

	CheckpointBytes Size          `help:"A checkpoint is written when this much has changed." default:"64MiB"`
	ObjectStore     string        `help:"Where values go that are not used: s3://bucket/prefix?endpoint=URL&region=NAME, with credentials from the usual AWS environment and files, or dir:///path. By default a folder in the data folder, once --object-after or --disk-max is set." placeholder:"URL"`
	ObjectAfter     time.Duration `help:"Values that nobody has read or written for this long, or up to twice as long, go there."`
	DiskMax         Size          `help:"Values go there while the records on disk take more than this." placeholder:"SIZE"`
	BackupKeep      time.Duration `help:"How long what nothing refers to any more stays there, so that older backups can be restored." default:"168h"`
	SegmentSize     Size          `help:"About how long an object becomes." default:"8MiB"`

	CheckpointEvery time.Duration `help:"A checkpoint is written when something changed this long ago." default:"5m"`

	Listen       string   `help:"Address to listen on." default:"127.0.0.1:7070" placeholder:"HOST:PORT"`
	Insecure     bool     `help:"Listen beyond this machine although nobody has to prove who they are."`
	AllowHost    []string `help:"Further host names that requests may name." placeholder:"NAME"`
	AllowOrigin  []string `help:"Further origins whose pages may use the server." placeholder:"URL"`
	TrustedProxy []string `help:"Addresses or networks of proxies whose X-Forwarded-For is believed." placeholder:"CIDR"`
	RateLimit    string   `help:"Limits for each caller, such as reads=1000/s,writes=200/s:400,watches=10/s." default:"off"`
	RateLoopback bool     `help:"Limit callers on this machine too."`

	Heartbeat time.Duration `help:"How often an idle stream is sent its position." default:"15s"`
	Grace     time.Duration `help:"Time to finish what is in flight when stopping." default:"10s"`

	objectPoll, objectTidy, objectGrace time.Duration
	// objectHold, if not nil, holds up moving between two pieces of work.
	objectHold func(context.Context)
	// objectRead bounds the reading of one value from object storage, attempts and
	// all.
	objectRead time.Duration
	objectStep func(object.Step) error

	// Logger receives changes of state; nil for nobody.
	Logger *slog.Logger `kong:"-"`
	// Fatal is called when the engine cannot go on, because the disk failed. It
	// should end the process. The default panics.
	Fatal func(error) `kong:"-"`
	// Version is shown by /v1/status.
	Version string `kong:"-"`
}

func (c Config) withDefaults() Config {
	if c.Fsync == "" {
		c.Fsync = "always"
	}
	if c.HugePages == "" {
		c.HugePages = "auto"
	}
	if c.Listen == "" {
		c.Listen = "127.0.0.1:7070"
	}
	if c.History == 0 {
		c.History = 64 << 20
	}
	if c.MemoryMax == 0 {
		c.MemoryMax = max(Size(processMemory(os.DirFS("/"))/2), 2*c.History)
	}
	if c.IdemBytes == 0 {
		c.IdemBytes = max(1, c.MemoryMax/4)
	}
	if c.CheckpointBytes == 0 {
		c.CheckpointBytes = 64 << 20
	}
	if c.CheckpointEvery == 0 {
		c.CheckpointEvery = 5 * time.Minute
	}
	if c.BackupKeep == 0 {
		c.BackupKeep = 168 * time.Hour
	}
	if c.objectPoll == 0 {
		c.objectPoll = 10 * time.Second
	}
	if c.objectTidy == 0 {
		c.objectTidy = 15 * time.Minute
	}
	if c.objectRead == 0 {
		c.objectRead = 8 * time.Second // a request gives up after ten
	}
	if c.Grace == 0 {
		c.Grace = 10 * time.Second
	}
	if c.RateLimit == "" {
		c.RateLimit = "off"
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Fatal == nil {
		c.Fatal = func(err error) { panic(err) }
	}
	return c
}

// Validate returns an error that names the first field that cannot be used.
func (c Config) Validate() error {
	c = c.withDefaults()
	if c.Data == "" && !c.MemoryOnly {
		return errors.New("data: a folder is needed; to keep nothing say --memory-only")
	}
	if c.Fsync != "always" && c.Fsync != "interval" {
		return fmt.Errorf("fsync: %q is neither always nor interval", c.Fsync)
	}
	if c.HugePages != "auto" && c.HugePages != "off" {
		return fmt.Errorf("huge-pages: %q is neither auto nor off", c.HugePages)
	}
	for name, n := range map[string]int64{
		"max-value": int64(c.MaxValue), "max-batch": int64(c.MaxBatch), "max-batch-ops": int64(c.MaxBatchOps),
		"max-delete": int64(c.MaxDelete), "max-queue": int64(c.MaxQueue), "max-watches": int64(c.MaxWatches),
		"max-connections": int64(c.MaxConnections), "max-files": int64(c.MaxFiles), "tombstone-max": int64(c.TombstoneMax),
		"tombstone-age": int64(c.TombstoneAge), "idem-age": int64(c.IdemAge), "idem-max": int64(c.IdemMax),
		"lease-max": int64(c.LeaseMax), "lease-per-caller": int64(c.LeasePerCaller), "lease-keys": int64(c.LeaseKeys),
		"idem-per-caller": int64(c.IdemPerCaller), "idem-bytes": int64(c.IdemBytes), "fsync-interval": int64(c.FsyncInterval),
		"memory-max": int64(c.MemoryMax), "object-after": int64(c.ObjectAfter), "disk-max": int64(c.DiskMax), "backup-keep": int64(c.BackupKeep), "checkpoint-every": int64(c.CheckpointEvery), "heartbeat": int64(c.Heartbeat), "grace": int64(c.Grace),
	} {
		if n < 0 {
			return fmt.Errorf("%s: must not be negative", name)
		}
	}
	if c.MemoryOnly && (c.ObjectStore != "" || c.ObjectAfter != 0 || c.DiskMax != 0) {
		return errors.New("object-store, object-after, disk-max: not with --memory-only")
	}
	if c.SegmentSize < 0 || c.SegmentSize > 64<<20 {
		return errors.New("segment-size: must be at most 64MiB")
	}
	if c.MaxBatch != 0 && c.MaxBatch < max(c.MaxValue, 1<<20) {
		return errors.New("max-batch: must have room for one value and a key, at least 1MiB")
	}
	if c.MemoryMax != 0 && c.MemoryMax < 2*c.History {
		return fmt.Errorf("memory-max: %v is less than twice the --history of %v", c.MemoryMax, c.History)
	}
	if _, err := c.proxies(); err != nil {
		return err
	}
	if _, err := ratelimit.ParseRates(c.RateLimit); err != nil {
		return fmt.Errorf("rate-limit: %w", err)
	}
	return nil
}

// checkListen refuses to serve other machines unless that was asked for.
func (c Config) checkListen() error {
	host, _, err := net.SplitHostPort(c.Listen)
	if err != nil {
		return fmt.Errorf("listen: %q is not host:port", c.Listen)
	}
	if ip := net.ParseIP(host); host == "localhost" || ip != nil && ip.IsLoopback() || c.Insecure {
		return nil
	}
	return fmt.Errorf("listen: %s is reachable by other machines and nobody has to prove who they are; say --insecure if that is meant", c.Listen)
}

func (c Config) proxies() ([]netip.Prefix, error) {
	var list []netip.Prefix
	for _, text := range c.TrustedProxy {
		if !strings.Contains(text, "/") {
			addr, err := netip.ParseAddr(text)
			if err != nil {
				return nil, fmt.Errorf("trusted-proxy: %q is neither an address nor a network", text)
			}
			list = append(list, netip.PrefixFrom(addr, addr.BitLen()))
			continue
		}
		p, err := netip.ParsePrefix(text)
		if err != nil {
			return nil, fmt.Errorf("trusted-proxy: %q is neither an address nor a network", text)
		}
		list = append(list, p.Masked())
	}
	return list, nil
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
