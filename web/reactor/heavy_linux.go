package reactor

import "sync"

// heavyMax is how many heavy calls of Fill run at once.
const heavyMax = 4

// heavy runs the calls of Fill that may take long.
type heavy struct {
	reactor *Reactor
	mu      struct {
		sync.Mutex
		queue   []*sock
		running int
	}
}

// submit has s filled elsewhere. The caller leaves s alone until then.
func (h *heavy) submit(s *sock) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.mu.queue = append(h.mu.queue, s)
	if h.mu.running < heavyMax {
		h.mu.running++
		h.reactor.running.Go(h.run)
	}
}

func (h *heavy) run() {
	for s := h.next(); s != nil; s = h.next() {
		s.fillHeavy()
	}
}

func (h *heavy) next() *sock {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.mu.queue) == 0 {
		h.mu.running--
		h.mu.queue = nil
		return nil
	}
	s := h.mu.queue[0]
	h.mu.queue[0] = nil
	h.mu.queue = h.mu.queue[1:]
	return s
}
