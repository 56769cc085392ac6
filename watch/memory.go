package watch

// Memory returns about how many bytes the history takes: its events, the ring
// itself, and the encoded forms of the newest events. It costs an atomic load.
func (h *Hub) Memory() int64 {
	return h.ring.mark().bytes + h.ring.fixed()
}

// MemoryMax returns what Memory can grow to.
func (h *Hub) MemoryMax() int64 { return h.ring.max + h.ring.fixed() }

func (r *ring) fixed() int64 { return int64(len(r.slots))*8 + r.codedMax }
