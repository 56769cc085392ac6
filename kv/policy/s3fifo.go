package policy

import "container/list"

// S3FIFO is three queues: newcomers, those that were read while there, and the
// names of those that were not (Yang et al., SOSP 2023).
type S3FIFO struct {
	size, small int
	// threshold is how many reads lead from the first queue to the second.
	threshold   int
	first, main *list.List
	at          map[int]*fifoKey
	ghosts      *list.List
	ghost       map[int]*list.Element
}

type fifoKey struct {
	key, reads int
	inMain     bool
}

// NewS3FIFO returns an S3FIFO for size keys of which one in share are newcomers.
func NewS3FIFO(size, share, threshold int) *S3FIFO {
	return &S3FIFO{
		size: size, small: size / share, threshold: threshold,
		first: list.New(), main: list.New(), at: make(map[int]*fifoKey),
		ghosts: list.New(), ghost: make(map[int]*list.Element),
	}
}

// Read implements Cache.
func (c *S3FIFO) Read(key int) bool {
	if k, ok := c.at[key]; ok {
		k.reads = min(3, k.reads+1)
		return true
	}
	for c.first.Len()+c.main.Len() >= c.size {
		if c.first.Len() >= c.small || c.main.Len() == 0 {
			c.evictFirst()
		} else {
			c.evictMain()
		}
	}
	k := &fifoKey{key: key}
	c.at[key] = k
	if e, ok := c.ghost[key]; ok {
		c.ghosts.Remove(e)
		delete(c.ghost, key)
		k.inMain = true
		c.main.PushFront(k)
	} else {
		c.first.PushFront(k)
	}
	return false
}

func (c *S3FIFO) evictFirst() {
	k := c.first.Remove(c.first.Back()).(*fifoKey)
	if k.reads >= c.threshold {
		k.reads, k.inMain = 0, true
		c.main.PushFront(k)
		return
	}
	delete(c.at, k.key)
	c.ghost[k.key] = c.ghosts.PushFront(k.key)
	if c.ghosts.Len() > c.size-c.small {
		delete(c.ghost, c.ghosts.Remove(c.ghosts.Back()).(int))
	}
}

func (c *S3FIFO) evictMain() {
	k := c.main.Remove(c.main.Back()).(*fifoKey)
	if k.reads > 0 {
		k.reads--
		c.main.PushFront(k)
		return
	}
	delete(c.at, k.key)
}
