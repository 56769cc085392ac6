package audit

import "time"

// A write is an event whose result may not be known yet.
type write struct {
	event Event
	size  int
	done  <-chan struct{}
	// finish adds the result, which is known unless the log is closed before, and reports whether there is
	// something to write down.
	finish func(e *Event, known bool) bool
}

func (w *write) known() bool {
	select {
	case <-w.done:
		return true
	default:
		return false
	}
}

// Write writes an event for a write to the store, once done is closed and finish, which is called once by
// another goroutine, returns true; finish may add the result, which is not known yet only if the log is
// closed. size is how many bytes of names finish keeps. Too many writes are counted, not written, and it
// never waits. A nil Log does nothing.
func (l *Log) Write(e Event, size int, done <-chan struct{}, finish func(e *Event, known bool) bool) {
	if l == nil {
		return
	}
	e.Time = time.Now().UTC()
	if !l.sending.TryRLock() {
		l.skip()
		return
	}
	defer l.sending.RUnlock()
	if l.sending.closed {
		return
	}
	if l.bytes.Add(int64(size)) <= writeBytesMax {
		select {
		case l.writes <- write{e, size, done, finish}:
			return
		default:
		}
	}
	l.bytes.Add(-int64(size))
	l.skip()
}

func (l *Log) skip() {
	l.skipped.Add(1)
	l.writesLost.Add(1)
}

// await passes writes on once their results are known.
func (l *Log) await() {
	defer close(l.ready)
	for w := range l.writes {
		select {
		case <-w.done:
		case <-l.ending:
		}
		if w.finish(&w.event, w.known()) {
			l.ready <- w.event
		}
		l.bytes.Add(-int64(w.size))
	}
}

// LeftOut returns how many denials and writes were not written, because there were too many.
func (l *Log) LeftOut() (denials, writes uint64) {
	if l == nil {
		return 0, 0
	}
	return l.denialsLost.Load(), l.writesLost.Load()
}
