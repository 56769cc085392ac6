package auth

// StreamEnd says why a caller may not go on with a stream of keys and prefixes that it was allowed
// when its standing was since: Expired, Revoked, Disabled or Narrowed. It is empty while the caller
// may; now is what to pass as since the next time. While nothing has changed it costs two atomic
// loads. It is asked after what the stream shows was read, and before it is sent. A nil caller,
// which there is without authentication, may always.
func (c *Caller) StreamEnd(since uint32, names func() (keys, prefixes []string)) (why string, now uint32) {
	if c == nil {
		return "", since
	}
	s := c.Look()
	if s.Since == since {
		return "", since
	}
	if why = s.Ended; why == "" && s.Stream(names()) != nil {
		why = Narrowed
	}
	if why != "" {
		c.table.counts.ended.add(why)
		return why, s.Since
	}
	return "", s.Since
}

// Changed reports whether the caller's standing is another one than that of since.
func (c *Caller) Changed(since uint32) bool { return c != nil && c.Look().Since != since }

// Since returns the standing that the pass was given for; 0 without authentication.
func (p Pass) Since() uint32 {
	if p.standing == nil {
		return 0
	}
	return p.standing.Since
}

// Follow and Unfollow are Table.Follow and Table.Unfollow for the caller's table. A nil caller
// needs neither.
func (c *Caller) Follow() {
	if c != nil {
		c.table.Follow(c)
	}
}

// Unfollow undoes one Follow.
func (c *Caller) Unfollow() {
	if c != nil {
		c.table.Unfollow(c)
	}
}
