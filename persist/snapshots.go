package persist

import (
	"errors"
	"fmt"
	"io"
	"time"

	"keywatch/kv"

	"github.com/hashicorp/raft"
)

var (
	// ErrNoStreams is returned when a sink of Snapshots is written to as a stream: a
	// checkpoint that another node sends cannot be taken in yet.
	ErrNoStreams = errors.New("checkpoints from other nodes are not supported")
	// ErrSnapshotGone is returned when a snapshot is opened that a newer one replaced.
	ErrSnapshotGone = errors.New("a newer checkpoint replaced this snapshot")

	errSinkUsed = errors.New("the snapshot sink holds a checkpoint already")
)

// Snapshots returns the checkpoint as raft's snapshot store: there is none or one. The
// sinks that Create returns have a method WriteCheckpoint(*kv.Checkpoint) error, which is what
// writes; Close commits it.
func (db *DB) Snapshots() raft.SnapshotStore { return snapshots{db} }

type snapshots struct{ db *DB }

// Create begins a checkpoint that raft knows by index and term.
func (s snapshots) Create(version raft.SnapshotVersion, index, term uint64, conf raft.Configuration,
	confIndex uint64, _ raft.Transport) (raft.SnapshotSink, error) {
	if version != raft.SnapshotVersionMax {
		return nil, fmt.Errorf("snapshot version %d is not known", version)
	}
	return &sink{db: s.db, index: index, term: term, conf: conf.Clone(), confIndex: confIndex}, nil
}

// List returns the checkpoint.
func (s snapshots) List() ([]*raft.SnapshotMeta, error) {
	h := s.db.head.Load()
	if h.seq == 0 {
		return nil, nil
	}
	size, err := s.db.BackupSize()
	if err != nil {
		return nil, err
	}
	return []*raft.SnapshotMeta{h.snapshot(size)}, nil
}

// Open returns the checkpoint as a stream. It fails with ErrSnapshotGone.
func (s snapshots) Open(id string) (*raft.SnapshotMeta, io.ReadCloser, error) {
	img, err := s.db.OpenBackup()
	if err != nil {
		return nil, nil, err
	}
	if img.head.id() != id {
		return nil, nil, errors.Join(ErrSnapshotGone, img.Close())
	}
	return img.head.snapshot(img.Size()), img, nil
}

// id is the name that raft has for the checkpoint.
func (h *header) id() string { return fmt.Sprintf("%d-%d-%d", h.term, h.index, h.seq) }

// snapshot describes the checkpoint to raft.
func (h *header) snapshot(size int64) *raft.SnapshotMeta {
	return &raft.SnapshotMeta{
		Version: raft.SnapshotVersionMax, ID: h.id(), Index: h.index, Term: h.term,
		Configuration: h.conf.Clone(), ConfigurationIndex: h.confIndex, Size: size,
	}
}

// A sink writes one checkpoint. It belongs to one goroutine.
type sink struct {
	db          *DB
	index, term uint64
	conf        raft.Configuration
	confIndex   uint64

	// cp is set while the sink holds a checkpoint, and with it the right to change the
	// file. base is the header it builds on, next the one it will write.
	cp         *kv.Checkpoint
	file       *boltFile
	base, next *header
	deaths     []death
	records    int64
	begun      time.Time
	id         string
}

// ID returns the name of the checkpoint once it is committed.
func (s *sink) ID() string { return s.id }

// Write fails with ErrNoStreams.
func (s *sink) Write([]byte) (int, error) { return 0, ErrNoStreams }

// WriteCheckpoint writes cp, which belongs to the sink from then on: Close commits it,
// Cancel aborts it, and so does WriteCheckpoint itself when it fails. It waits for
// a compaction that is running.
func (s *sink) WriteCheckpoint(cp *kv.Checkpoint) error {
	if s.cp != nil || s.id != "" {
		return errSinkUsed
	}
	if err := s.db.acquire(nil); err != nil {
		cp.Abort()
		return err
	}
	s.cp, s.file, s.base = cp, s.db.file.Load(), s.db.head.Load()
	s.begun = time.Now()
	s.db.begin("checkpoint", int64(cp.Len()))
	if err := s.fill(); err != nil {
		return errors.Join(fmt.Errorf("write checkpoint: %w", err), s.Cancel())
	}
	return nil
}

// fill writes everything but the header.
func (s *sink) fill() error {
	if s.db.torn {
		if err := s.db.trim(s.file); err != nil {
			return err
		}
		s.db.torn = false
	}
	meta := s.cp.Meta()
	if meta.Index > s.index {
		return fmt.Errorf("the state is at index %d, beyond the snapshot's %d", meta.Index, s.index)
	}
	s.next = s.base.clone()
	s.next.seq++
	s.next.meta, s.next.index, s.next.term = meta, s.index, s.term
	s.next.conf, s.next.confIndex = s.conf, s.confIndex
	return s.write()
}

// Close commits the checkpoint and then gives space back in the file. When it fails
// the checkpoint is aborted and the previous one stands.
func (s *sink) Close() error {
	if s.cp == nil {
		return nil
	}
	if err := s.commit(); err != nil {
		return errors.Join(fmt.Errorf("commit checkpoint: %w", err), s.Cancel())
	}
	s.id = s.next.id()
	s.db.stats.checkpoint(s)
	s.cp = nil
	defer s.db.release()
	s.db.task.End()
	s.db.begin("sweep", 0)
	defer s.db.task.End()
	s.db.tidy(s.next.bytesSince(s.base.seq))
	return nil
}

// Cancel aborts the checkpoint: the previous one stands.
func (s *sink) Cancel() error {
	if s.cp == nil {
		return nil
	}
	s.db.torn = true
	s.db.stats.aborted.Add(1)
	s.cp.Abort()
	s.cp = nil
	s.db.task.End()
	s.db.release()
	return nil
}
