package persist

import (
	"fmt"
	"time"

	"keywatch/kv"
)

// Checkpoint writes cp, which belongs to it from then on: the state after the entry at
// index, which has term. members says who the servers of the store are then, nil for one; it is kept as
// it is, and a release that does not know it refuses the file. It commits or aborts cp, waits for a compaction that is running, and
// gives space back in the file afterwards. If it fails the previous checkpoint stands.
func (db *DB) Checkpoint(cp *kv.Checkpoint, index, term uint64, members []byte) error {
	s, err := db.newSink(cp, index, term, members)
	if err != nil {
		return err
	}
	return s.close()
}

// Last returns what the last checkpoint that was committed was given; zeros if there is none.
// members must not be changed.
func (db *DB) Last() (index, term uint64, members []byte) {
	h := db.head.Load()
	return h.index, h.term, h.members
}

// A sink writes one checkpoint. It belongs to one goroutine.
type sink struct {
	db          *DB
	index, term uint64
	members     []byte

	// cp is set with the right to change
	// the file. base is the header it builds on, next the one it will write.
	cp         *kv.Checkpoint
	file       *boltFile
	base, next *header
	deaths     []death
	records    int64
	begun      time.Time
}

// newSink returns a sink that has written everything but the header. cp is aborted if that
// fails.
func (db *DB) newSink(cp *kv.Checkpoint, index, term uint64, members []byte) (*sink, error) {
	if err := db.acquire(nil); err != nil {
		cp.Abort()
		return nil, err
	}
	s := &sink{db: db, index: index, term: term, members: members, cp: cp, file: db.file.Load(), base: db.head.Load(), begun: time.Now()}
	db.begin("checkpoint", int64(cp.Len()))
	if err := s.fill(); err != nil {
		s.cancel()
		return nil, fmt.Errorf("write checkpoint: %w", err)
	}
	return s, nil
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
		return fmt.Errorf("the state is at index %d, beyond the checkpoint's %d", meta.Index, s.index)
	}
	if s.index < s.base.index {
		return ErrOvertaken // it is of the state before an install
	}
	s.next = s.base.clone()
	s.next.installed = false
	s.next.seq++
	s.next.meta, s.next.index, s.next.term, s.next.members = meta, s.index, s.term, s.members
	return s.write()
}

// close commits the checkpoint and then gives space back in the file. When it fails
// the checkpoint is aborted and the previous one stands.
func (s *sink) close() error {
	if err := s.commit(); err != nil {
		s.cancel()
		return fmt.Errorf("commit checkpoint: %w", err)
	}
	s.db.stats.checkpoint(s)
	defer s.db.release()
	s.db.task.End()
	s.db.begin("sweep", 0)
	defer s.db.task.End()
	s.db.tidy(s.next.bytesSince(s.base.seq))
	return nil
}

// cancel aborts the checkpoint: the previous one stands.
func (s *sink) cancel() {
	s.db.torn = true
	s.db.stats.aborted.Add(1)
	s.cp.Abort()
	s.db.task.End()
	s.db.release()
}
