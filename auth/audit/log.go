// Package audit writes down who did what: logins, changes of users and credentials, the work of
// administrators, and what was denied.
package audit

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// An Event is one line of the log. It has no value of a key, and nothing that is secret.
type Event struct {
	Time time.Time `json:"time"`
	// Node is the id of the server that wrote it, where it is one of a cluster: see Log.Node.
	Node string `json:"node,omitempty"`
	// User is the id of the user, Name its name, Credential the id of the credential.
	User       string `json:"user,omitempty"`
	Name       string `json:"name,omitempty"`
	Credential string `json:"credential,omitempty"`
	// Address is whom the request counts for.
	Address string `json:"address,omitempty"`
	// Operation is the method and the route, Target the user, role, credential, key or lock that
	// it names.
	Operation string `json:"operation"`
	Target    string `json:"target,omitempty"`
	// Targets are the keys of a write of several, MoreTargets counts those that are left out.
	Targets     []string `json:"targets,omitempty"`
	MoreTargets int      `json:"more_targets,omitempty"`
	// Status and Code are those of the answer; Code is empty if it is a good one.
	Status int    `json:"status,omitempty"`
	Code   string `json:"code,omitempty"`
	Need   string `json:"need,omitempty"`
	// Rev is the revision of a write.
	Rev uint64 `json:"rev,omitempty"`
	// LeftOut is how many denials before this event were not written, because there were too many.
	LeftOut uint64 `json:"left_out,omitempty"`
	// WritesLeftOut is how many writes before this event were not written, because there were too many.
	WritesLeftOut uint64 `json:"writes_left_out,omitempty"`
}

const (
	// queueMax bounds the events that wait to be written.
	queueMax = 4096
	// deniedPerSecond bounds the denials that are written of one credential, or of one address without
	// one, and deniedInAll those of all; the others are counted.
	deniedPerSecond = 10
	deniedInAll     = 200
	// writeBytesMax bounds the names in the writes that wait, in bytes.
	writeBytesMax = 8 << 20
	// FileMax is the size at which a file is put away, filesMax how many there are.
	FileMax  = 32 << 20
	filesMax = 4
)

// A Log writes events, one JSON object a line. It is safe for concurrent use and must be closed.
type Log struct {
	// Node is the id of this server, which each event gets; it is set before the first event.
	Node string

	path string // empty for a writer that the caller owns
	out  io.Writer
	file *os.File
	size int64

	queue chan Event
	// writes are those whose results may not be known yet. The first of them goes through ready, so that
	// nothing else waits for it. Both are closed once nothing more comes.
	writes  chan write
	ready   chan Event
	bytes   atomic.Int64  // of the names in writes
	ending  chan struct{} // closed by Close
	done    chan struct{}
	failed  atomic.Pointer[error]
	written atomic.Uint64
	dropped atomic.Uint64 // since the last event
	// skipped are writes that were dropped since the last event, denialsLost and writesLost what was
	// dropped in all.
	skipped, denialsLost, writesLost atomic.Uint64

	// sending is held for reading while an event is put in the queue, and by Close.
	sending struct {
		sync.RWMutex
		closed bool
	}
	mu struct {
		sync.Mutex
		second int64
		denied int
		by     map[string]int // of this second
	}
}

// Open returns a log that appends to a file, which only its owner may read, and puts it away when it
// has FileMax bytes: as path.1, then .2 and .3.
func Open(path string) (*Log, error) {
	l := &Log{path: path}
	if err := l.open(); err != nil {
		return nil, fmt.Errorf("audit log: %w", err)
	}
	l.start()
	return l, nil
}

// New returns a log that writes to w, which Close does not close.
func New(w io.Writer) *Log {
	l := &Log{out: w}
	l.start()
	return l
}

func (l *Log) start() {
	l.queue, l.done, l.ending = make(chan Event, queueMax), make(chan struct{}), make(chan struct{})
	l.writes, l.ready = make(chan write, queueMax), make(chan Event)
	go l.run()
	go l.await()
}

func (l *Log) open() error {
	f, err := os.OpenFile(l.path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err != nil {
		return errors.Join(err, f.Close())
	}
	l.file, l.out, l.size = f, f, info.Size()
	return nil
}

// Record writes an event. It waits while queueMax others wait. A nil Log does nothing.
func (l *Log) Record(e Event) {
	if l == nil {
		return
	}
	e.Time = time.Now().UTC()
	l.sending.RLock()
	defer l.sending.RUnlock()
	if !l.sending.closed {
		l.queue <- e
	}
}

// Denied writes that something was denied, unless too much is: then it is counted. It never waits.
func (l *Log) Denied(e Event) {
	if l == nil {
		return
	}
	e.Time = time.Now().UTC()
	if !l.sending.TryRLock() {
		l.drop()
		return
	}
	defer l.sending.RUnlock()
	if l.sending.closed {
		return
	}
	if l.spare(&e) {
		select {
		case l.queue <- e:
			return
		default:
		}
	}
	l.drop()
}

func (l *Log) drop() {
	l.dropped.Add(1)
	l.denialsLost.Add(1)
}

// spare reports whether another denial may be written in this second. One caller that is denied again and
// again hides no other.
func (l *Log) spare(e *Event) bool {
	who, second := cmp.Or(e.Credential, e.User, e.Address), e.Time.Unix()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.mu.second != second {
		l.mu.second, l.mu.denied = second, 0
		clear(l.mu.by)
	}
	if l.mu.denied == deniedInAll || l.mu.by[who] == deniedPerSecond {
		return false
	}
	if l.mu.by == nil {
		l.mu.by = make(map[string]int)
	}
	l.mu.denied++
	l.mu.by[who]++
	return true
}

// Full reports whether Record would wait.
func (l *Log) Full() bool { return l != nil && len(l.queue) == queueMax }

func (l *Log) run() {
	defer close(l.done)
	queue, ready := l.queue, l.ready
	for queue != nil || ready != nil {
		select {
		case e, ok := <-queue:
			if queue = orNil(queue, ok); ok {
				l.put(&e)
			}
		case e, ok := <-ready:
			if ready = orNil(ready, ok); ok {
				l.put(&e)
			}
		}
	}
}

// orNil returns c while it is open, else nil, from which nothing comes.
func orNil(c chan Event, open bool) chan Event {
	if open {
		return c
	}
	return nil
}

func (l *Log) put(e *Event) {
	e.Node, e.LeftOut, e.WritesLeftOut = l.Node, l.dropped.Swap(0), l.skipped.Swap(0)
	if err := l.write(e); err != nil {
		l.failed.Store(&err)
		return
	}
	l.failed.Store(nil)
	l.written.Add(1)
}

func (l *Log) write(e *Event) error {
	line, err := json.Marshal(e)
	if err != nil {
		return err
	}
	if l.path != "" && l.size+int64(len(line)) > FileMax {
		if err := l.putAway(); err != nil {
			return err
		}
	}
	n, err := l.out.Write(append(line, '\n'))
	l.size += int64(n)
	return err
}

// putAway begins a new file.
func (l *Log) putAway() error {
	if err := l.file.Close(); err != nil && !errors.Is(err, os.ErrClosed) {
		return err
	}
	for i := filesMax - 1; i > 0; i-- {
		from := fmt.Sprint(l.path, ".", i-1)
		if i == 1 {
			from = l.path
		}
		if err := os.Rename(from, fmt.Sprint(l.path, ".", i)); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return l.open()
}

// Err returns why the last event could not be written, nil if it was.
func (l *Log) Err() error {
	if l == nil {
		return nil
	}
	if err := l.failed.Load(); err != nil {
		return fmt.Errorf("the audit log cannot be written: %w", *err)
	}
	return nil
}

// Written returns how many events were written.
func (l *Log) Written() uint64 {
	if l == nil {
		return 0
	}
	return l.written.Load()
}

// Close writes what waits, and closes the file. It may be called twice.
func (l *Log) Close() error {
	if l == nil {
		return nil
	}
	l.sending.Lock()
	if l.sending.closed {
		l.sending.Unlock()
		return nil
	}
	l.sending.closed = true
	close(l.queue)
	close(l.writes)
	close(l.ending)
	l.sending.Unlock()
	<-l.done
	if l.file != nil {
		return l.file.Close()
	}
	return nil
}
