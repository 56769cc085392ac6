package reactor

// A due is when a socket is to be looked at, in nanoseconds since the loop
// began.
type due struct {
	at int64
	s  *sock
}

// timers is a binary heap of dues, the earliest first.
type timers []due

func (t *timers) push(d due) {
	h := append(*t, d)
	i := len(h) - 1
	for i > 0 {
		up := (i - 1) / 2
		if h[up].at <= d.at {
			break
		}
		h[i] = h[up]
		i = up
	}
	h[i] = d
	*t = h
}

func (t *timers) pop() due {
	h := *t
	first, last := h[0], h[len(h)-1]
	h[len(h)-1] = due{}
	h = h[:len(h)-1]
	*t = h
	i := 0
	for {
		down := 2*i + 1
		if down >= len(h) {
			break
		}
		if down+1 < len(h) && h[down+1].at < h[down].at {
			down++
		}
		if last.at <= h[down].at {
			break
		}
		h[i] = h[down]
		i = down
	}
	if len(h) > 0 {
		h[i] = last
	}
	return first
}
