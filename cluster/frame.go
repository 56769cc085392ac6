package cluster

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"

	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"keywatch/kv"
)

// Kinds of frames between servers: the first byte of each.
const (
	frameRaft     = 1 // a message of Raft
	frameCommands = 2 // commands, to the leader
	frameQueued   = 3 // up to which number the leader has taken commands
	frameRefused  = 4 // why the leader does not log some
	frameBeat     = 5 // where the leader is
	frameReport   = 6 // how a server does, to the leader
	frameRemoved  = 7 // the receiver was removed
	frameSnapshot = 8 // the head of a stream with a snapshot
)

// A Class says how urgent a frame is. Frames of one class keep their order; any may be lost.
type Class uint8

const (
	// Control is for small frames that must not wait: votes, heartbeats, reads.
	Control Class = iota
	// Bulk is for entries and commands.
	Bulk
)

var errFrame = errors.New("malformed frame")

// A commandsFrame carries a batch to the leader.
type commandsFrame struct {
	// term is the one in which the leader leads; in another the frame means nothing.
	term uint64
	// group names the batch. prev is the number of the batch that the origin sent before it, 0
	// if the fate of all before is known: the leader takes them in that order.
	group kv.Group
	prev  uint64
	body  []byte
}

func (f *commandsFrame) encode() []byte {
	b := make([]byte, 0, 40+len(f.body))
	b = append(b, frameCommands)
	for _, n := range []uint64{f.term, f.group.Origin, f.group.Seq, f.prev, uint64(f.group.Commands)} {
		b = binary.AppendUvarint(b, n)
	}
	return append(b, f.body...)
}

// An answerFrame says that the leader has taken all batches of an origin before and with seq,
// or, if it has a code, that it has refused seq.
type answerFrame struct {
	term, origin, seq uint64
	code              refusal
}

func (f *answerFrame) encode() []byte {
	kind := byte(frameQueued)
	if f.code != 0 {
		kind = frameRefused
	}
	b := []byte{kind}
	for _, n := range []uint64{f.term, f.origin, f.seq, uint64(f.code)} {
		b = binary.AppendUvarint(b, n)
	}
	return b
}

// A beatFrame says what is committed in a term, the log time, and up to where no server needs the log.
type beatFrame struct {
	term, commit uint64
	now          int64
	need         uint64
}

func (f *beatFrame) encode() []byte {
	b := []byte{frameBeat}
	for _, n := range []uint64{f.term, f.commit, uint64(f.now), f.need} {
		b = binary.AppendUvarint(b, n)
	}
	return b
}

// A refusal is why a leader logs nothing of a batch.
type refusal uint8

// refusals are the errors behind refusals. Another number is a batch that the leader finds
// malformed.
var refusals = []error{1: kv.ErrQueueFull, 2: kv.ErrDiskFull, 3: kv.ErrMemoryFull, 4: kv.ErrBadCommand}

func refusalOf(err error) refusal {
	for i, e := range refusals {
		if i > 0 && errors.Is(err, e) {
			return refusal(i)
		}
	}
	return refusal(len(refusals) - 1)
}

func (r refusal) err() error {
	err := kv.ErrBadCommand
	if int(r) < len(refusals) {
		err = refusals[r]
	}
	return fmt.Errorf("the leader refused it: %w", err)
}

// numbers reads uvarints from b, and returns what follows.
func numbers(b []byte, to ...*uint64) ([]byte, error) {
	for _, n := range to {
		v, size := binary.Uvarint(b)
		if size <= 0 {
			return nil, errFrame
		}
		*n, b = v, b[size:]
	}
	return b, nil
}

// decodeFrame reads a frame: a *raftpb.Message, or one of the frames above. What it returns shares
// memory with b.
func decodeFrame(b []byte) (any, error) {
	if len(b) == 0 {
		return nil, errFrame
	}
	kind, b := b[0], b[1:]
	switch kind {
	case frameRaft:
		m := new(raftpb.Message)
		if err := proto.Unmarshal(b, m); err != nil {
			return nil, fmt.Errorf("%w: %w", errFrame, err)
		}
		return m, nil
	case frameCommands:
		var f commandsFrame
		var commands uint64
		body, err := numbers(b, &f.term, &f.group.Origin, &f.group.Seq, &f.prev, &commands)
		if err != nil || commands > uint64(len(body)) {
			return nil, errFrame
		}
		f.group.Commands, f.body = int(commands), body
		return &f, nil
	case frameQueued, frameRefused:
		var f answerFrame
		var code uint64
		_, err := numbers(b, &f.term, &f.origin, &f.seq, &code)
		f.code = refusal(min(code, 255))
		return &f, err
	case frameBeat:
		var f beatFrame
		var now uint64
		_, err := numbers(b, &f.term, &f.commit, &now, &f.need)
		f.now = int64(now)
		return &f, err
	case frameReport:
		f := new(reportFrame)
		if err := json.Unmarshal(b, f); err != nil {
			return nil, fmt.Errorf("%w: %w", errFrame, err)
		}
		return f, nil
	case frameRemoved:
		return removedFrame{}, nil
	}
	return nil, fmt.Errorf("%w: kind %d", errFrame, kind)
}
