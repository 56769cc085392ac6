package persist

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"keywatch/kv"
	"keywatch/persist/disk"
	"keywatch/persist/wal"

	bolt "go.etcd.io/bbolt"
)

// An Inspection is what a data folder, a checkpoint, a backup or a segment of a log holds.
type Inspection struct {
	Path string `json:"path"`
	// Store, Level and Release are what the folder's store file says.
	Store   string `json:"store,omitempty"`
	Level   int    `json:"level,omitempty"`
	Release string `json:"release,omitempty"`
	Objects string `json:"objects,omitempty"`
	// CleanStop says that the last server on the folder stopped in order.
	CleanStop  bool            `json:"clean_stop"`
	Checkpoint *CheckpointInfo `json:"checkpoint,omitempty"`
	Log        *wal.Inspection `json:"log,omitempty"`
	Keys       []KeyInfo       `json:"keys,omitempty"`
	LeaseList  []LeaseDetail   `json:"leases,omitempty"`
	// Segments are those of object storage that values are in, if Objects was asked for.
	Segments map[kv.SegmentID]kv.Live `json:"-"`
	Damage   []InspectFailure         `json:"damage,omitempty"`
}

// An InspectFailure is something that cannot be read as it was written. Offset is -1 if the place
// is not known.
type InspectFailure struct {
	File   string `json:"file"`
	Offset int64  `json:"offset"`
	Reason string `json:"reason"`
}

// A CheckpointInfo is what the header of a checkpoint says.
type CheckpointInfo struct {
	File       string      `json:"file"`
	Bytes      int64       `json:"bytes"`
	Number     uint64      `json:"number"`
	Epoch      string      `json:"epoch"`
	Rev        uint64      `json:"rev"`
	Index      uint64      `json:"index"`
	Term       uint64      `json:"term"`
	TimeMS     int64       `json:"log_time_ms"`
	Members    string      `json:"members,omitempty"`
	Idem       int64       `json:"idempotency_records"`
	Leases     int64       `json:"leases"`
	Private    int64       `json:"private_records"`
	Records    int64       `json:"records"`
	Live       int64       `json:"live_records"`
	LiveBytes  int64       `json:"live_bytes"`
	StoreBytes int64       `json:"record_bytes"`
	Ranges     []RangeInfo `json:"ranges"`
	// Verified says that every record was read and matched its checksum.
	Verified bool `json:"verified"`
}

// A RangeInfo is one range of revisions: how many records it has, and how many of those are live.
type RangeInfo struct {
	First   uint64 `json:"first"`
	Last    uint64 `json:"last"`
	Records int64  `json:"records"`
	Bytes   int64  `json:"bytes"`
	Live    int64  `json:"live"`
	// Sum is the sum of the records' checksums.
	Sum string `json:"sum"`
}

// A KeyInfo is a key as of the checkpoint: what the log has beyond it is not in it.
type KeyInfo struct {
	Key     string `json:"key"`
	Rev     uint64 `json:"rev"`
	Create  uint64 `json:"create_rev"`
	Version uint64 `json:"version"`
	Bytes   int    `json:"bytes"`
	Tier    string `json:"tier"`
	// DeadlineMS is the log time at which the key ends, 0 for never.
	DeadlineMS int64  `json:"deadline_ms,omitempty"`
	Lease      string `json:"lease,omitempty"`

	lease   kv.LeaseID
	segment kv.SegmentID
}

// InspectOptions say how much an inspection reads.
type InspectOptions struct {
	// Keys lists the keys that begin with Prefix.
	Keys   bool
	Prefix string
	// Leases lists the leases.
	Leases bool
	// Objects lists the segments of object storage that values are in.
	Objects bool
	// Log lists each group of the log.
	Log bool
	// Verify reads every record and checks it.
	Verify bool
}

// Inspect reads what is at path and changes nothing: a data folder, which it holds against a
// server meanwhile, a checkpoint or a backup without objects, or a segment of a log. Damage is part
// of what it returns. It fails if path is none of those, or with *disk.LockedError.
func Inspect(path string, opts InspectOptions) (*Inspection, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	found := &Inspection{Path: path}
	switch {
	case info.IsDir():
		err = found.folder(path, opts)
	case wal.IsSegment(filepath.Base(path)):
		found.Log, err = wal.InspectSegment(path, opts.Log)
		err = found.note(path, err)
	default:
		err = found.checkpoint(path, opts)
	}
	return found, err
}

// folder inspects a data folder.
func (x *Inspection) folder(dir string, opts InspectOptions) (err error) {
	if _, err := os.Stat(filepath.Join(dir, checkpointName)); errors.Is(err, fs.ErrNotExist) {
		if segments, _ := filepath.Glob(filepath.Join(dir, "log-*.seg")); len(segments) == 0 {
			return noStore(dir)
		}
	}
	lock, err := disk.LockDir(dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	id, named, err := disk.ReadIdentity(disk.OS, dir)
	if named && err == nil {
		x.Store, x.Level, x.Release, x.Objects = id.Store.String(), id.Level, id.Release, id.Objects
	}
	if err := x.note(filepath.Join(dir, disk.StoreFile), err); err != nil {
		return err
	}
	if x.CleanStop, err = disk.CleanStop.In(disk.OS, dir); err != nil {
		return err
	}
	if err := x.checkpoint(filepath.Join(dir, checkpointName), opts); err != nil {
		return err
	}
	x.Log, err = wal.Inspect(dir, opts.Log)
	return x.note(dir, err)
}

// note adds err to the damage if it says that a file is not as it was written; else it returns
// err.
func (x *Inspection) note(file string, err error) error {
	if damage, ok := errors.AsType[*disk.DamageError](err); ok {
		x.Damage = append(x.Damage, InspectFailure{damage.File, damage.Offset, damage.Reason})
		return nil
	}
	if misfit, ok := errors.AsType[*disk.MisfitError](err); ok && errors.Is(err, disk.ErrMissing) {
		x.Damage = append(x.Damage, InspectFailure{misfit.File, disk.Unknown, misfit.Reason})
		return nil
	}
	if err != nil {
		return fmt.Errorf("inspect %s: %w", file, err)
	}
	return nil
}

// checkpoint inspects a checkpoint file.
func (x *Inspection) checkpoint(path string, opts InspectOptions) error {
	if err := checkPages(path, nil, nil); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			err = &disk.MisfitError{Kind: disk.ErrMissing, File: path, Reason: "is missing"}
		}
		return x.note(path, err)
	}
	file, err := bolt.Open(path, 0, &bolt.Options{ReadOnly: true, Timeout: boltLockWait, NoStatistics: true})
	if err != nil {
		return fmt.Errorf("inspect %s: %w", path, err)
	}
	defer file.Close()
	err = guard(path, func() error {
		return file.View(func(tx *bolt.Tx) error { return x.header(tx, path, opts) })
	})
	return x.note(path, asDamage(path, err))
}

// header inspects the header, and what the options ask for beyond it.
func (x *Inspection) header(tx *bolt.Tx, path string, opts InspectOptions) error {
	h, err := readHeader(tx)
	if err != nil {
		return err
	}
	c := &CheckpointInfo{
		File: path, Bytes: tx.Size(), Number: h.seq, Epoch: h.meta.At.Epoch.String(), Rev: uint64(h.meta.At.Rev),
		Index: h.index, Term: h.term, TimeMS: h.meta.Time, Members: h.meta.Roster,
		Idem: h.idem.n, Leases: h.leases.all.n, Private: h.private.all.n, Ranges: []RangeInfo{},
	}
	for i := range h.ranges {
		r := &h.ranges[i]
		c.Ranges = append(c.Ranges, RangeInfo{
			uint64(r.first), uint64(r.last), r.all.n, r.all.bytes, r.live.n, fmt.Sprintf("%x", r.all.sum),
		})
		c.Records, c.StoreBytes = c.Records+r.all.n, c.StoreBytes+r.all.bytes
		c.Live, c.LiveBytes = c.Live+r.live.n, c.LiveBytes+r.live.bytes
	}
	x.Checkpoint = c
	orNamed(&x.Objects, h.link.objects)
	var attached map[kv.LeaseID]int
	if opts.Verify || opts.Keys || opts.Leases || opts.Objects {
		attached, err = x.records(tx, h, opts)
	}
	if (opts.Leases || opts.Verify) && err == nil {
		err = x.leases(tx, h, opts, attached)
	}
	if opts.Verify && h.seq > 0 && err == nil {
		err = errors.Join(
			readIdem(tx, h, func(uint64, []byte) error { return nil }),
			h.readPrivate(tx, func(string, []byte) error { return nil }))
	}
	c.Verified = opts.Verify && err == nil
	return err
}

func orNamed(url *string, named string) {
	if *url == "" {
		*url = named
	}
}

// records reads every record, which checks it, and keeps the newest of each key that is asked
// for. It returns how many keys are attached to each lease.
func (x *Inspection) records(tx *bolt.Tx, h *header, opts InspectOptions) (attached map[kv.LeaseID]int, err error) {
	newest := make(map[string]KeyInfo)
	all := opts.Leases || opts.Objects
	for i := range h.ranges {
		err := readRange(tx, &h.ranges[i], kv.ParseRecord, func(r kv.Record, _ int, _ int64) bool {
			if all || opts.Keys && strings.HasPrefix(r.Key, opts.Prefix) {
				keep(newest, r)
			}
			return true
		})
		if err != nil {
			return nil, err
		}
	}
	maps.DeleteFunc(newest, func(_ string, k KeyInfo) bool { return k.Version == 0 })
	attached = make(map[kv.LeaseID]int)
	x.Segments = make(map[kv.SegmentID]kv.Live)
	for _, key := range slices.Sorted(maps.Keys(newest)) {
		k := newest[key]
		if opts.Keys && strings.HasPrefix(key, opts.Prefix) {
			x.Keys = append(x.Keys, k)
		}
		attached[k.lease]++
		if k.segment != (kv.SegmentID{}) {
			live := x.Segments[k.segment]
			x.Segments[k.segment] = kv.Live{Values: live.Values + 1, Bytes: live.Bytes + int64(k.Bytes)}
		}
	}
	return attached, nil
}

// keep replaces what newest has of a record's key if the record is newer. A deletion has
// version 0 there.
func keep(newest map[string]KeyInfo, r kv.Record) {
	e := r.Entry
	if old, ok := newest[r.Key]; ok && old.Rev > uint64(e.Mod) {
		return
	}
	info := KeyInfo{Key: r.Key, Rev: uint64(e.Mod)}
	if !e.Deleted() {
		info.Create, info.Version, info.Bytes = uint64(e.Create), e.Version, e.Size()
		info.DeadlineMS, info.Tier = e.Deadline(), tierNames[e.Tier()]
		if info.lease = e.Lease(); info.lease != (kv.LeaseID{}) {
			info.Lease = info.lease.String()
		}
		info.segment, _ = e.Segment()
	}
	newest[r.Key] = info
}

// tierNames name where the value of a record is: a record that is not in object storage is in
// the file.
var tierNames = [kv.TierCount]string{kv.TierMemory: "disk", kv.TierDisk: "disk", kv.TierObject: "object"}
