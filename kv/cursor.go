package kv

// Cursor returns a number from which CursorKey finds key as long as the key exists, or its
// deletion is remembered: so a list can go on behind it with nothing kept for the client. It
// is not 0, and means nothing to another process.
func (s *State) Cursor(key string) uint64 { return max(1, s.table.hash(key)) }

// CursorKey returns the key of a cursor, false if it is not known any more.
func (s *State) CursorKey(cursor uint64) (string, bool) {
	sl, _ := s.table.shard(cursor).Load(cursor)
	if sl == nil {
		return "", false
	}
	return sl.key(), true
}
