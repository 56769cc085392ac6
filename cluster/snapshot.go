package cluster

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"keywatch/kv"
)

// Snapshots are checkpoints that servers send each other, and what takes the state of another
// server in the place of this one's. Open, Stage and Load may wait; the loop does not call them.
type Snapshots interface {
	// Open returns the last checkpoint, to be closed.
	Open() (Image, error)
	// Stage makes room for one of so many bytes.
	Stage(size int64) (Staged, error)
	// Begin is called before a checkpoint is installed: no client is served from the state any
	// more.
	Begin()
	// Load returns a new state that is as the checkpoint which was installed.
	Load() (*kv.State, error)
	// Replace puts a state that was loaded in the place of the one before.
	Replace(next *kv.State)
}

// An Image is a checkpoint as bytes.
type Image interface {
	io.ReadCloser
	// Size returns how many bytes there are.
	Size() int64
	// Last returns what Checkpoints.Last has returned when it was the last.
	Last() (index, term uint64, members []byte)
}

// A Staged is the checkpoint of another server that does not count yet. It ends with Install or
// Discard.
type Staged interface {
	io.Writer
	// Verify reads all that was written, and fails unless it is a checkpoint with that end.
	Verify(index, term uint64, members []byte) error
	// Install makes it the checkpoint, durably. An error is final: nothing may be written any
	// more.
	Install() error
	Discard() error
}

// A Stream is a way to another server.
type Stream interface {
	io.Writer
	// Close returns nil once the other end has all of it, and has returned nil.
	Close() error
	// Abort tells the other end why the rest does not come.
	Abort(why error)
}

const (
	// shipPiece is how much of a snapshot is read and sent at once, in bytes.
	shipPiece = 256 << 10
	// shipRest is how long a server rests after a snapshot did not arrive, times the number of those
	// that did not in a row, up to shipRestMost.
	shipRest, shipRestMost = time.Second, 4
)

// A shipment is a snapshot on its way to another server. It belongs to the loop.
type shipment struct {
	term   uint64 // in which this server leads
	cancel context.CancelFunc
}

// snapshot is what Raft sends to a server that has fallen behind the log: only where the last
// checkpoint ends. One that is older than the last change of members would not have who
// joined, so that a newer one is ordered.
func (n *Node) snapshot() (*raftpb.Snapshot, error) {
	if n.opts.Snapshots == nil || n.opts.Stream == nil {
		return nil, raft.ErrSnapshotTemporarilyUnavailable
	}
	index, term, kept := n.opts.Checkpoints.Last()
	if len(kept) == 0 || index < n.store.Changed() {
		n.loop.ordered = true
		return nil, raft.ErrSnapshotTemporarilyUnavailable
	}
	members := new(raftpb.ConfState)
	if err := proto.Unmarshal(kept, members); err != nil {
		return nil, fmt.Errorf("members of the checkpoint: %w", err)
	}
	return &raftpb.Snapshot{Metadata: &raftpb.SnapshotMetadata{Index: &index, Term: &term, ConfState: members}}, nil
}

// takeOrder begins a checkpoint that was ordered, unless one is being written.
func (n *Node) takeOrder() {
	if !n.loop.ordered {
		return
	}
	select {
	case <-n.checkpointing:
		n.loop.ordered = false
		if err := n.freezeMember(make(chan error, 1)); err != nil {
			n.checkpointing <- struct{}{}
		}
	default:
	}
}

// ship sends a snapshot in the background. Raft sends nothing else to that server until it is told
// what became of it, so that it always is.
func (n *Node) ship(m *raftpb.Message) {
	l, to := &n.loop, m.GetTo()
	if old := l.shipments[to]; old != nil {
		old.cancel()
	}
	ctx, cancel := context.WithCancel(n.life)
	s := &shipment{term: m.GetTerm(), cancel: cancel}
	rest := shipRest * time.Duration(min(l.failed[to]+1, shipRestMost))
	if l.shipments == nil {
		l.shipments = make(map[uint64]*shipment)
	}
	l.shipments[to] = s
	n.pinLog(to, m.GetSnapshot().GetMetadata().GetIndex())
	n.background(func() {
		arrived := false
		defer cancel()
		defer func() { l.ask(func() { n.shipped(to, s, arrived) }) }()
		err := n.sendSnapshot(ctx, to, m.GetTerm())
		if arrived = err == nil; arrived || ctx.Err() != nil {
			return
		}
		n.opts.Logger.Warn("a snapshot did not arrive; it will be sent again", "to", to, "after", rest, "err", err)
		select { // Raft would try again at once
		case <-time.After(rest):
		case <-ctx.Done():
		}
	})
}

// shipped tells Raft what became of a snapshot.
func (n *Node) shipped(to uint64, s *shipment, arrived bool) {
	l := &n.loop
	if l.shipments[to] != s || l.dead != nil {
		return // another was begun
	}
	delete(l.shipments, to)
	if l.failed == nil {
		l.failed = make(map[uint64]int)
	}
	if l.failed[to]++; arrived {
		delete(l.failed, to)
	}
	l.core.ReportSnapshot(to, arrived)
}

// recall ends what was begun in a term in which this server does not lead any more.
func (n *Node) recall() {
	for _, s := range n.loop.shipments {
		if s.term != n.loop.core.Term() {
			s.cancel()
		}
	}
}

// sendSnapshot sends the last checkpoint.
func (n *Node) sendSnapshot(ctx context.Context, to, term uint64) error {
	select {
	case n.shipping <- struct{}{}:
		defer func() { <-n.shipping }()
	case <-ctx.Done():
		return ctx.Err()
	}
	img, err := n.opts.Snapshots.Open()
	if err != nil {
		return err
	}
	defer img.Close()
	h := snapshotHead{term: term, size: uint64(img.Size())}
	h.index, h.indexTerm, h.members = img.Last()
	stream, err := n.opts.Stream(ctx, to, h.encode())
	if err != nil {
		return err
	}
	n.opts.Logger.Info("a snapshot is sent", "to", to, "index", h.index, "bytes", h.size)
	if _, err := io.CopyBuffer(struct{ io.Writer }{stream}, struct{ io.Reader }{img}, make([]byte, shipPiece)); err != nil {
		stream.Abort(err)
		return err
	}
	return stream.Close()
}

// A snapshotHead says what a stream carries.
type snapshotHead struct {
	term             uint64 // in which its sender leads
	index, indexTerm uint64 // where it ends
	size             uint64
	members          []byte
}

func (h *snapshotHead) encode() []byte {
	b := []byte{frameSnapshot}
	for _, n := range []uint64{h.term, h.index, h.indexTerm, h.size} {
		b = binary.AppendUvarint(b, n)
	}
	return append(b, h.members...)
}

var errHead = errors.New("the head of a snapshot is malformed")

func decodeHead(b []byte) (h snapshotHead, err error) {
	if len(b) == 0 || b[0] != frameSnapshot {
		return h, errHead
	}
	rest, err := numbers(b[1:], &h.term, &h.index, &h.indexTerm, &h.size)
	if err != nil || h.size > 1<<62 {
		return h, errHead
	}
	h.members = bytes.Clone(rest)
	return h, nil
}
