package kv

// MaxRoster is the most bytes of a roster.
const MaxRoster = 64 << 10

// A roster says who the servers of a store are: their names, roles and addresses. It is the
// cluster's, which alone reads it; for a State it is text that a command replaces as a whole. A store with one
// server has none, and then nothing of it is written.

// AddRoster appends a change of the roster, at most MaxRoster bytes.
func (b *EntryBuilder) AddRoster(text string) {
	b.grow()
	b.buf = appendText(append(b.buf, commandRoster), text)
}

// roster reads a command.
func (d *decoder) roster() string {
	b := d.blob()
	if len(b) > MaxRoster {
		d.fail()
		return ""
	}
	return string(b)
}

// Roster returns the text of the newest roster; empty if there was none.
func (s *State) Roster() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mu.roster
}
