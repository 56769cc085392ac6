package web

import (
	"errors"
	"sync"
	"time"

	"keywatch/kv"
)

// renderPause is the least time between the end of a rendering and the begin of the next, so
// that requests for it cost a bounded part of one core however many there are.
const renderPause = 10 * time.Millisecond

// errNotRendered is the error of a rendering that panicked.
var errNotRendered = errors.New("the rendering panicked")

// A rendering makes an answer of the server about itself: metrics or status, or the end of a job. To
// make it costs far more than to ask for it, so all requests that wait share one. Each request gets one that
// began after it had asked: the answer is never older than the request. It is safe for
// concurrent use.
type rendering struct {
	render func() (rendered, error)
	// turn has one place, for the round that is being made and the pause behind it.
	turn chan struct{}

	mu struct {
		sync.Mutex
		// next is the round that requests join, nil if none waits for its turn.
		next *round
	}
}

// A rendered is what a round made. Those that share the body must not change it.
type rendered struct {
	body []byte
	at   kv.Position
}

// A round is one rendering. rendered and err are set before done is closed.
type round struct {
	done chan struct{}
	rendered
	err error
}

func newRendering(render func() (rendered, error)) *rendering {
	return &rendering{render: render, turn: make(chan struct{}, 1)}
}

// get returns what a round makes that began after the call.
func (r *rendering) get() (rendered, error) {
	own, first := r.join()
	if first {
		r.run(own)
	}
	<-own.done
	return own.rendered, own.err
}

// join returns the round that waits for its turn. It reports whether the caller is the first
// of it, and has to run it.
func (r *rendering) join() (own *round, first bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.mu.next == nil {
		r.mu.next, first = &round{done: make(chan struct{}), err: errNotRendered}, true
	}
	return r.mu.next, first
}

// run makes own when it is its turn. Until then others may join it.
func (r *rendering) run(own *round) {
	r.turn <- struct{}{}
	defer time.AfterFunc(renderPause, func() { <-r.turn })
	defer close(own.done)
	r.mu.Lock()
	r.mu.next = nil
	r.mu.Unlock()
	own.rendered, own.err = r.render()
}

// share answers with what p renders.
func (r *request) share(p *rendering, contentType []byte) error {
	got, err := p.get()
	if err != nil {
		return err
	}
	if got.at != (kv.Position{}) {
		r.position(got.at)
	}
	r.account().answered(len(got.body))
	r.f.Response.Header.SetContentTypeBytes(contentType)
	r.f.Response.SetBodyRaw(got.body)
	return nil
}
