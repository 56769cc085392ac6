package cluster_test

import (
	"bytes"
	"context"
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"keywatch/cluster"
	"keywatch/kv"
)

// An imageFile is a checkpoint as bytes.
type imageFile struct {
	Index, Term uint64
	Members     []byte
	Meta        []byte
	Records     map[kv.Locator][]byte
	Idem        map[uint64][]byte
	Leases      map[kv.LeaseID][]byte
}

// images are the checkpoints of one node of a team, in memory, and what it does with those of
// others. They outlive the node.
type images struct {
	team *team
	id   int

	// store is over the node, nil for none.
	store atomic.Pointer[kv.Store]

	mu       sync.Mutex
	last     imageFile
	installs int
	staged   int // how many were begun to be received
	// hook is called at each step of an install, half, verify, install, load, and before a checkpoint; nil for none.
	hook func(step string)
}

// step calls the hook.
func (m *images) step(name string) {
	m.mu.Lock()
	hook := m.hook
	m.mu.Unlock()
	if hook != nil {
		hook(name)
	}
}

func (m *images) setHook(hook func(step string)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.hook = hook
}

func (m *images) Checkpoint(cp *kv.Checkpoint, index, term uint64, members []byte) error {
	m.step("checkpoint")
	m.mu.Lock()
	defer m.mu.Unlock()
	if index < m.last.Index {
		cp.Abort()
		return errors.New("it is overtaken")
	}
	if m.last.Records == nil {
		m.last.Records, m.last.Idem = make(map[kv.Locator][]byte), make(map[uint64][]byte)
	}
	meta, f := cp.Meta(), &m.last
	f.Index, f.Term, f.Members, f.Meta = index, term, members, meta.AppendTo(nil)
	for r, old := range cp.Records() {
		delete(f.Records, old)
		f.Records[r.Locator()] = r.AppendTo(nil)
	}
	for _, at := range cp.Dropped() {
		delete(f.Records, at)
	}
	for seq, b := range cp.Idem() {
		f.Idem[seq] = bytes.Clone(b)
	}
	for seq := range f.Idem {
		if seq < meta.IdemFirst {
			delete(f.Idem, seq)
		}
	}
	f.Leases = make(map[kv.LeaseID][]byte)
	for id, b := range cp.Leases() {
		f.Leases[id] = bytes.Clone(b)
	}
	cp.Commit()
	return nil
}

func (m *images) Last() (index, term uint64, members []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.last.Index, m.last.Term, m.last.Members
}

// An opened is an image that is read.
type opened struct {
	*bytes.Reader
	file imageFile
}

func (o opened) Close() error { return nil }
func (o opened) Last() (index, term uint64, members []byte) {
	return o.file.Index, o.file.Term, o.file.Members
}

func (m *images) Open() (cluster.Image, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var b bytes.Buffer
	if err := gob.NewEncoder(&b).Encode(m.last); err != nil {
		return nil, err
	}
	return opened{bytes.NewReader(b.Bytes()), imageFile{Index: m.last.Index, Term: m.last.Term, Members: m.last.Members}}, nil
}

// A stagedImage is one that was received.
type stagedImage struct {
	bytes.Buffer
	images *images
	file   imageFile
	half   int
}

func (m *images) Stage(size int64) (cluster.Staged, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.staged++
	return &stagedImage{images: m, half: int(size / 2)}, nil
}

func (s *stagedImage) Write(b []byte) (int, error) {
	if s.half >= 0 && s.Len()+len(b) > s.half {
		s.half = -1
		s.images.step("half")
	}
	return s.Buffer.Write(b)
}

func (s *stagedImage) Verify(index, term uint64, members []byte) error {
	s.images.step("verify")
	if err := gob.NewDecoder(bytes.NewReader(s.Bytes())).Decode(&s.file); err != nil {
		return err
	}
	if s.file.Index != index || s.file.Term != term || !bytes.Equal(s.file.Members, members) {
		return errors.New("it is another one")
	}
	return nil
}

func (s *stagedImage) Install() error {
	s.images.step("install")
	s.images.mu.Lock()
	defer s.images.mu.Unlock()
	s.images.last = s.file
	s.images.installs++
	return nil
}

func (s *stagedImage) Discard() error { return nil }

func (m *images) Begin() { m.team.state(m.id).Retire() }

func (m *images) Load() (*kv.State, error) {
	m.step("load")
	return m.load()
}

// load returns a state that is as the last checkpoint.
func (m *images) load() (*kv.State, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	next := kv.NewState(kv.StateOptions{Presize: 64})
	if m.last.Index == 0 {
		return next, nil
	}
	meta, err := kv.ParseMeta(m.last.Meta)
	if err != nil {
		return nil, err
	}
	l := next.Load(meta)
	for _, at := range sortedLocators(m.last.Records) {
		r, err := kv.ParseRecord(at, m.last.Records[at])
		if err == nil {
			_, _, err = l.Add(r)
		}
		if err != nil {
			return nil, err
		}
	}
	for seq := meta.IdemFirst; seq < meta.IdemNext; seq++ {
		if err := l.AddIdem(seq, m.last.Idem[seq]); err != nil {
			return nil, err
		}
	}
	for id, b := range m.last.Leases {
		if err := l.AddLease(id, b); err != nil {
			return nil, err
		}
	}
	return next, l.Done()
}

func (m *images) Replace(next *kv.State) {
	m.team.setState(m.id, next)
	if s := m.store.Load(); s != nil {
		s.Replace(next)
	}
}

func (m *images) installed() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.installs
}

// A wire is a stream between two nodes of a team.
type wire struct {
	team     *team
	from, to int
	w        *io.PipeWriter
	done     chan error // what the receiver returned, sent once
}

// errCut is what a stream fails with whose way is cut.
var errCut = errors.New("the way is cut")

func (w *team) stream(ctx context.Context, from, to int, head []byte) (cluster.Stream, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := w.node[to]
	if n == nil || w.cut[from] || w.cut[to] {
		return nil, errCut
	}
	r, pw := io.Pipe()
	s := &wire{w, from, to, pw, make(chan error, 1)}
	context.AfterFunc(ctx, func() { pw.CloseWithError(ctx.Err()) })
	go func() {
		err := n.ReceiveSnapshot(ctx, uint64(from), head, r)
		r.CloseWithError(fmt.Errorf("the other end: %w", err))
		s.done <- err
	}()
	return s, nil
}

// Write implements io.Writer, as fast as the team's streams are.
func (s *wire) Write(b []byte) (int, error) {
	s.team.mu.Lock()
	cut, rate := s.team.cut[s.from] || s.team.cut[s.to], s.team.rate
	s.team.mu.Unlock()
	if cut {
		return 0, errCut
	}
	for n := 0; n < len(b); {
		piece := b[n:min(len(b), n+4096)]
		if rate > 0 {
			time.Sleep(time.Duration(len(piece)) * time.Second / time.Duration(rate))
		}
		if _, err := s.w.Write(piece); err != nil {
			return n, err
		}
		n += len(piece)
	}
	return len(b), nil
}

func (s *wire) Close() error {
	s.w.Close()
	return <-s.done
}

func (s *wire) Abort(why error) {
	s.w.CloseWithError(why)
	<-s.done
}
