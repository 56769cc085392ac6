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

// Forget has a server not know what a command requires.
func (v *Server) Forget(name string) { v.byName[name].need = need{} }
