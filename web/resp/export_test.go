package resp

// Commands returns the names of all commands, with their subcommands as in "config|get".
func Commands() (names []string) {
	for _, c := range newCommands() {
		names = append(names, c.name)
		for _, sub := range c.subs {
			names = append(names, c.name+"|"+sub)
		}
	}
	return names
}

// Needs returns for how many commands it is said what they require.
func Needs() int { return len(needs) }

// Between has f called, with the id of a connection, after it was looked whether its caller may go on
// and before it is told something.
func (v *Server) Between(f func(id uint64)) { v.between.Store(&f) }

// Tracked returns how many keys there are that a connection has read and is to be told of.
func (v *Server) Tracked() int {
	keys, _, _ := v.tracking.counts()
	return keys
}

// Forget has a server not know what a command requires.
func (v *Server) Forget(name string) { v.byName[name].need = need{} }

// Running returns how many goroutines run commands that may wait.
func (v *Server) Running() int {
	running, _ := v.runners.Len()
	return running
}
