package watch

import "math/rand/v2"

// A Farewell makes the Byes of watches that end together.
type Farewell struct {
	code string
	// twice has the URLs of the other servers two times, so that each order that begins at another of them
	// is a part of it.
	twice []string
}

// Farewell returns what to end watches with for a reason of this server: with the other servers of the
// cluster that can serve them, in an order that begins at random.
func (h *Hub) Farewell(code string) Farewell {
	if h.opts.Others == nil {
		return Farewell{code: code}
	}
	list := h.opts.Others()
	return Farewell{code, append(list, list...)}
}

// Message returns a Bye with a Retry of its own.
func (f Farewell) Message() Message {
	m := Message{Kind: Bye, Code: f.code, Retry: RetryAfter()}
	if n := len(f.twice) / 2; n > 0 {
		at := rand.IntN(n)
		m.Endpoints = f.twice[at : at+n : at+n]
	}
	return m
}
