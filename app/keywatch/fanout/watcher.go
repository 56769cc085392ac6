//go:build linux

package fanout

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"time"
)

// watcherPhase is how far a connection is.
type watcherPhase uint8

const (
	phaseClosed watcherPhase = iota
	phaseConnecting
	phaseHead
	phaseBody
)

var (
	errHead = errors.New("the answer's head is malformed")
	errBye  = errors.New("the server closed the connection in order")
)

// A statusError is an answer that opens no stream.
type statusError int

func (e statusError) Error() string { return "the server answered " + strconv.Itoa(int(e)) }

// final reports whether asking again is no use.
func (e statusError) final() bool { return e < 500 && e != 429 }

// A watcher is one connection. It belongs to the loop's goroutine. While nothing
// is sent it owns no buffer.
type watcher struct {
	n       int
	fd      int
	gen     int32 // grows with each connection, so that late events are told apart
	phase   watcherPhase
	chunked bool
	stalled bool // reads nothing once it is complete
	body    dechunker
	// rest is what came of an incomplete head, event or frame.
	rest []byte
	// out is what the peer did not take yet.
	out []byte
	// ready counts the watches that are complete on this connection.
	ready int
	// event is the SSE event whose lines are coming, pending the stamps that
	// are not delivered until a position covers them: if the connection is cut
	// before, they come again.
	event   sseEvent
	pending []stamp
	// pos is the last position, to resume from; last the newest seq of each
	// series that the watcher is to get.
	pos  []byte
	last []uint32
}

// sseEvent is what matters of one event.
type sseEvent struct {
	name  eventName
	hasID bool
}

type eventName uint8

const (
	otherEvent eventName = iota
	syncedEvent
	resyncEvent
	resetEvent
	byeEvent
)

// forget drops what belongs to one connection.
func (w *watcher) forget() {
	w.phase, w.chunked, w.body, w.event, w.ready = phaseClosed, false, dechunker{}, sseEvent{}, 0
	w.rest, w.out, w.pending = nil, nil, w.pending[:0]
}

// take parses what came: buf is what rest held, up to kept, and then what was
// read. It keeps what is incomplete.
func (l *loop) take(w *watcher, buf []byte, kept int) error {
	if w.phase == phaseHead {
		body, ok, err := w.head(buf)
		if err != nil || !ok {
			w.keep(buf)
			return err
		}
		w.phase, buf, kept = phaseBody, body, 0
		w.rest = nil
		if l.o.foreign() {
			l.completed(w)
		}
	}
	if w.chunked {
		plain, err := w.body.strip(buf[kept:])
		if err != nil {
			return err
		}
		buf = buf[:kept+len(plain)]
	}
	used, err := l.parse(w, buf)
	if err != nil {
		return err
	}
	if w.keep(buf[used:]); w.body.phase == chunkOver {
		return errBye
	}
	return nil
}

func (w *watcher) keep(b []byte) {
	if len(b) == 0 {
		w.rest = nil
		return
	}
	w.rest = append(w.rest[:0], b...)
}

// head splits the answer's head off b; ok is false if it is incomplete.
func (w *watcher) head(b []byte) (body []byte, ok bool, err error) {
	i := bytes.Index(b, []byte("\r\n\r\n"))
	if i < 0 {
		return nil, false, nil
	}
	head := bytes.ToLower(b[:i])
	if len(head) < 12 || !bytes.HasPrefix(head, []byte("http/1.")) {
		return nil, false, errHead
	}
	status, err := strconv.Atoi(string(head[9:12]))
	if err != nil {
		return nil, false, errHead
	}
	if status != 200 && status != 101 {
		return nil, false, statusError(status)
	}
	w.chunked = bytes.Contains(head, []byte("\r\ntransfer-encoding: chunked"))
	return b[i+4:], true, nil
}

func (l *loop) parse(w *watcher, b []byte) (used int, err error) {
	if l.o.Transport == WebSocket {
		return l.frames(w, b)
	}
	return l.lines(w, b)
}

// lines takes whole lines of an event stream.
func (l *loop) lines(w *watcher, b []byte) (used int, err error) {
	for {
		i := bytes.IndexByte(b[used:], '\n')
		if i < 0 {
			return used, nil
		}
		line := bytes.TrimSuffix(b[used:used+i], []byte{'\r'})
		used += i + 1
		if len(line) == 0 {
			if err := l.endEvent(w); err != nil {
				return used, err
			}
			continue
		}
		w.line(line)
	}
}

// line takes one line of an event.
func (w *watcher) line(line []byte) {
	field, value, _ := bytes.Cut(line, []byte{':'})
	value = bytes.TrimPrefix(value, []byte{' '})
	switch string(field) {
	case "data":
		if s, ok := findStamp(value); ok {
			w.pending = append(w.pending, s)
		}
	case "id":
		w.event.hasID = true
		w.pos = append(w.pos[:0], value...)
	case "event":
		w.event.name = eventNames[string(value)]
	}
}

var eventNames = map[string]eventName{"synced": syncedEvent, "resync": resyncEvent, "reset": resetEvent, "bye": byeEvent}

func (l *loop) endEvent(w *watcher) error {
	e := w.event
	w.event = sseEvent{}
	return l.happened(w, e.name, e.hasID || l.o.foreign())
}

// happened takes in an event; whole says that it ends a revision.
func (l *loop) happened(w *watcher, name eventName, whole bool) error {
	if whole {
		for _, s := range w.pending {
			l.deliver(w, s)
		}
		w.pending = w.pending[:0]
	}
	switch name {
	case syncedEvent:
		l.completed(w)
	case resyncEvent:
		l.count.Resyncs++
	case resetEvent:
		l.count.Resets++
	case byeEvent:
		return errBye
	}
	return nil
}

// frames takes whole frames of a WebSocket.
func (l *loop) frames(w *watcher, b []byte) (used int, err error) {
	for {
		op, payload, n := serverFrame(b[used:])
		if n == 0 {
			return used, nil
		}
		used += n
		switch op {
		case opPing:
			w.out = appendClientFrame(w.out, opPong, payload)
			if err := l.flush(w); err != nil {
				return used, err
			}
		case opClose:
			return used, errBye
		case opPong:
		default:
			for line := range bytes.SplitSeq(payload, []byte{'\n'}) {
				if err := l.message(w, line); err != nil {
					return used, err
				}
			}
		}
	}
}

// Marks of messages in keywatch's JSON. Keys and values of the load hold none
// of them.
var (
	jsonMore  = []byte(`"more":true`)
	jsonError = []byte(`"error":`)
	jsonPos   = []byte(`"pos":"`)
	jsonType  = []byte(`"type":"`)
)

// message takes one message of a WebSocket.
func (l *loop) message(w *watcher, m []byte) error {
	if s, ok := findStamp(m); ok {
		w.pending = append(w.pending, s)
	}
	if l.o.foreign() {
		return l.happened(w, otherEvent, true)
	}
	if bytes.Contains(m, jsonError) {
		return fmt.Errorf("the server refused: %.200s", m)
	}
	if pos, ok := jsonText(m, jsonPos); ok && w.ready+1 >= l.o.Watches {
		w.pos = append(w.pos[:0], pos...)
	}
	name, _ := jsonText(m, jsonType)
	return l.happened(w, eventNames[string(name)], !bytes.Contains(m, jsonMore))
}

func jsonText(m, mark []byte) ([]byte, bool) {
	i := bytes.Index(m, mark)
	if i < 0 {
		return nil, false
	}
	text, _, ok := bytes.Cut(m[i+len(mark):], []byte{'"'})
	return text, ok
}

// deliver counts one value.
func (l *loop) deliver(w *watcher, s stamp) {
	if w.stalled || s.at < l.since {
		return // not expected, or of an earlier run
	}
	key, lane := int(s.series)/l.lanes, int(s.series)%l.lanes
	own := key - w.n*l.o.Watches%l.o.Keys
	if own < 0 {
		own += l.o.Keys
	}
	if key >= l.o.Keys || own >= l.o.Watches {
		l.count.Misdelivered++
		return
	}
	if w.last == nil {
		w.last = make([]uint32, l.o.Watches*l.lanes)
	}
	last := &w.last[own*l.lanes+lane]
	switch {
	case s.seq == *last:
		l.count.Duplicates++
		return
	case s.seq < *last:
		l.count.Disordered++
		return
	}
	l.count.Gaps += uint64(s.seq - *last - 1)
	l.count.Unique++
	*last = s.seq
	if l.o.Delivery != nil {
		l.o.Delivery.Add(max(l.at-s.at, 0))
	}
}

// completed notes that a watch is complete.
func (l *loop) completed(w *watcher) {
	if w.ready++; w.ready != l.o.Watches {
		return
	}
	l.ready++
	l.lastReady = time.Now()
}
