package resp

import (
	"slices"
)

// A command is a row of the table of commands.
type command struct {
	name string
	// arity is how many words it has, the name included; negative is at least so many.
	arity int
	// flags are those that COMMAND INFO shows: write, readonly, fast and so on.
	flags []string
	// first, last and step are the places of keys, as COMMAND INFO has them; 0 is none.
	first, last, step int
	group, summary    string
	// One of these runs it, alone: run all by its own rules; compile says what it is as a part of a command of the store;
	// direct answers at once, as text that is nil if it has said all itself; slow answers on a
	// runner.
	compile func(c *call) (plan, error)
	direct  func(s *session, args [][]byte) []byte
	slow    func(c *call) ([]byte, error)
	run     func(s *session, cmd *command, args [][]byte)
	// subs are the words that may come second, if that is another command's name.
	subs []string
	// rewrites says that it reads before it writes, unqueued that MULTI refuses it, immediate that it
	// runs although MULTI collects.
	rewrites, unqueued, immediate bool
	// watches says that it counts as a watch.
	watches bool
	// need is what it requires of its caller.
	need  need
	index int
}

// writes reports whether the command may change keys.
func (c *command) writes() bool { return slices.Contains(c.flags, "write") }

// lookup returns a command by its name in any case, nil if there is none.
func (v *Server) lookup(name []byte) *command {
	var lower [32]byte
	if len(name) > len(lower) {
		return nil
	}
	n := lower[:copy(lower[:], name)]
	for i, c := range n {
		if c >= 'A' && c <= 'Z' {
			n[i] = c + 'a' - 'A'
		}
	}
	return v.byName[string(n)]
}

// keysOf returns the keys among args.
func (c *command) keysOf(args [][]byte) (keys [][]byte) {
	if c.name == "msetex" {
		return msetexKeys(args)
	}
	if c.name == "eval" || c.name == "evalsha" {
		return scriptKeys(args)
	}
	if c.first == 0 {
		return nil
	}
	last := c.last
	if last < 0 {
		last += len(args)
	}
	for i := c.first; i <= last && i < len(args); i += c.step {
		keys = append(keys, args[i])
	}
	return keys
}
