package sim

import (
	"errors"

	"go.etcd.io/raft/v3/raftpb"

	"keywatch/cluster/core"
	"keywatch/persist/wal"
)

// errPower is returned by a disk that has lost its power.
var errPower = errors.New("the power is off")

// A disk keeps what a server must not forget. Writes are handed to it in order and end in
// order, at any later step.
type disk struct {
	*wal.MemLog
	stable wal.MemStable
	// checkpoint is the state that a start begins with, nil for none.
	checkpoint *checkpoint
	// incoming is that of another server, which a write is to put in its place. installed says that
	// this was done, and that the log may be that of before.
	incoming  *checkpoint
	installed bool

	// queue is what was handed over and has not ended, oldest first. hung keeps it from ending.
	queue []queued
	hung  bool
	// left is how many writes succeed until the power is off; below 0 it stays on.
	left int
}

// A queued is a write, and the tick of its server at which it was handed over.
type queued struct {
	core.Write
	tick int
}

// A checkpoint is a state and the members at its end. Nothing in it changes.
type checkpoint struct {
	at      core.Point
	members *raftpb.ConfState
	state   []byte
}

var (
	_ core.Log    = (*disk)(nil)
	_ core.Stable = (*disk)(nil)
)

func newDisk() disk { return disk{MemLog: wal.NewMemLog(), left: -1} }

// spend takes one of the writes that are left.
func (d *disk) spend() error {
	if d.left == 0 {
		return errPower
	}
	d.left = max(d.left-1, -1)
	return nil
}

// Append implements core.Log.
func (d *disk) Append(entries ...*wal.Entry) error {
	if err := d.spend(); err != nil {
		return err
	}
	return d.MemLog.Append(entries...)
}

// Keep implements core.Log.
func (d *disk) Keep(commit uint64, entries ...*wal.Entry) error {
	if err := d.spend(); err != nil {
		return err
	}
	return d.MemLog.Keep(commit, entries...)
}

// DeleteRange implements core.Log.
func (d *disk) DeleteRange(lowest, highest uint64) error {
	if err := d.spend(); err != nil {
		return err
	}
	return d.MemLog.DeleteRange(lowest, highest)
}

// Discard implements core.Log.
func (d *disk) Discard(index uint64) error {
	if err := d.spend(); err != nil {
		return err
	}
	return d.MemLog.Discard(index)
}

// Hard implements core.Stable.
func (d *disk) Hard() (wal.Hard, error) { return d.stable.Hard() }

// SetHard implements core.Stable.
func (d *disk) SetHard(h wal.Hard) error {
	if err := d.spend(); err != nil {
		return err
	}
	return d.stable.SetHard(h)
}

// write does what a write says. The state of another server comes with it.
func (d *disk) write(s *core.Storage, w core.Write) error {
	if w.Snapshot != nil {
		m := w.Snapshot.GetMetadata()
		d.incoming = &checkpoint{core.Point{Index: m.GetIndex(), Term: m.GetTerm()}, m.GetConfState(), w.Snapshot.GetData()}
	}
	return s.Write(w)
}

// swap is core.StorageOptions.Install. The state of another server takes the place of the checkpoint
// before the log is removed: after a cut of the power in between the start removes it.
func (d *disk) swap(core.Point) error {
	if err := d.spend(); err != nil {
		return err
	}
	d.checkpoint, d.installed = d.incoming, true
	return nil
}

// end ends up to n writes of the queue and forgets the rest: the server is no more.
func (d *disk) end(s *core.Storage, n int) {
	d.left = n
	for _, q := range d.queue {
		if d.write(s, q.Write) != nil {
			break
		}
	}
	d.queue, d.left, d.hung = nil, -1, false
}

// recover finishes what a cut of the power has interrupted: a log that is that of before an install is
// removed. One that has the last entry of the checkpoint continues it.
func (d *disk) recover() error {
	var e wal.Entry
	last, err := d.LastIndex()
	if err != nil || !d.installed || last == 0 {
		return err
	}
	at := d.checkpoint.at
	if first, _ := d.FirstIndex(); first > at.Index {
		return nil
	}
	if d.Read(at.Index, &e) == nil && e.Term == at.Term {
		return nil
	}
	return d.MemLog.Discard(at.Index)
}
