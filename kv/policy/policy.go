package policy

import "container/list"

// A Cache says for each read whether the key was in memory, and brings it there.
type Cache interface{ Read(key int) (hit bool) }

// HitRate returns the share of reads of the second half of a trace that c had in
// memory; the first half fills it.
func HitRate(t Trace, c Cache) float64 {
	hits, i := 0, 0
	for key := range t.All() {
		if hit := c.Read(key); hit && i >= t.Reads/2 {
			hits++
		}
		i++
	}
	return float64(hits) / float64(t.Reads-t.Reads/2)
}

// LRU evicts the key that was not read for longest.
type LRU struct {
	size  int
	order *list.List
	at    map[int]*list.Element
}

// NewLRU returns an LRU for size keys.
func NewLRU(size int) *LRU {
	return &LRU{size: size, order: list.New(), at: make(map[int]*list.Element)}
}

// Read implements Cache.
func (c *LRU) Read(key int) bool {
	if e, ok := c.at[key]; ok {
		c.order.MoveToFront(e)
		return true
	}
	if c.order.Len() == c.size {
		last := c.order.Back()
		delete(c.at, c.order.Remove(last).(int))
	}
	c.at[key] = c.order.PushFront(key)
	return false
}

// Clock is a ring of keys with a hand: a key that was read since the hand came by
// is spared, up to max times in a row.
type Clock struct {
	max   int
	keys  []int
	reads []int
	at    map[int]int
	hand  int
}

// NewClock returns a Clock for size keys that counts to max.
func NewClock(size, max int) *Clock {
	return &Clock{max: max, keys: make([]int, 0, size), reads: make([]int, size), at: make(map[int]int)}
}

// Read implements Cache.
func (c *Clock) Read(key int) bool {
	if i, ok := c.at[key]; ok {
		c.reads[i] = min(c.max, c.reads[i]+1)
		return true
	}
	if len(c.keys) < cap(c.keys) {
		c.at[key] = len(c.keys)
		c.keys = append(c.keys, key)
		return false
	}
	for c.reads[c.hand] > 0 {
		c.reads[c.hand]--
		c.hand = (c.hand + 1) % len(c.keys)
	}
	delete(c.at, c.keys[c.hand])
	c.keys[c.hand], c.at[key] = key, c.hand
	c.hand = (c.hand + 1) % len(c.keys)
	return false
}

// Sieve is a queue with a hand that moves from the oldest key on and spares what
// was read; unlike in Clock the newcomers stay together (Zhang et al., NSDI 2024).
type Sieve struct {
	size  int
	order *list.List
	at    map[int]*list.Element
	hand  *list.Element
}

type sieved struct {
	key  int
	read bool
}

// NewSieve returns a Sieve for size keys.
func NewSieve(size int) *Sieve {
	return &Sieve{size: size, order: list.New(), at: make(map[int]*list.Element)}
}

// Read implements Cache.
func (c *Sieve) Read(key int) bool {
	if e, ok := c.at[key]; ok {
		e.Value.(*sieved).read = true
		return true
	}
	if c.order.Len() == c.size {
		c.evict()
	}
	c.at[key] = c.order.PushFront(&sieved{key: key})
	return false
}

func (c *Sieve) evict() {
	next := func(e *list.Element) *list.Element {
		if e = e.Prev(); e == nil {
			e = c.order.Back()
		}
		return e
	}
	if c.hand == nil {
		c.hand = c.order.Back()
	}
	for s := c.hand.Value.(*sieved); s.read; s = c.hand.Value.(*sieved) {
		s.read = false
		c.hand = next(c.hand)
	}
	gone := c.hand
	if c.hand = next(gone); c.hand == gone || gone.Prev() == nil {
		c.hand = nil
	}
	delete(c.at, c.order.Remove(gone).(*sieved).key)
}
