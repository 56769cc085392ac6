package watch

// Memory returns about how many bytes the history takes: its events, the ring
// itself, and the encoded forms of the newest events. It costs an atomic load.
func (h *Hub) Memory() int64 {
	return h.ring.mark().bytes + h.ring.fixed()
}

const (
	// watcherCost is what a watch of one name takes beside the bytes of the name, while it
	// begins; an idle one takes half of it.
	watcherCost = 340
	// nameCost is what each name takes beside its bytes where there are many: its place
	// in the index, and another in the shared catch-up when the watch is behind.
	nameCost = 240
)

// Cost returns about how many bytes of memory a watch takes that asks for r, while it
// is open. The account of the memory that callers make the server hold charges it.
func (r *Request) Cost() int64 {
	names := len(r.Keys) + len(r.Prefixes)
	n := watcherCost
	if names > 1 {
		n += nameCost * names
	}
	for _, list := range [2][]string{r.Keys, r.Prefixes} {
		for _, name := range list {
			n += len(name)
		}
	}
	return int64(n)
}

// MemoryMax returns what Memory can grow to.
func (h *Hub) MemoryMax() int64 { return h.ring.max + h.ring.fixed() }

func (r *ring) fixed() int64 { return int64(len(r.slots))*8 + r.codedMax }
