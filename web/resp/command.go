package resp

import (
	"slices"
	"strings"
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
	// snapshots says that it looks at all keys there are, on a runner.
	snapshots bool
	// watches says that it counts as a watch.
	watches bool
	// need is what it requires of its caller.
	need  need
	index int
}

// writes reports whether the command may change keys.
func (c *command) writes() bool { return slices.Contains(c.flags, "write") }

// sub returns the place of the subcommand among args in the table of those, -1 if there is none.
func (c *command) sub(args [][]byte) int {
	if len(c.subs) == 0 || len(args) < 2 {
		return -1
	}
	return slices.IndexFunc(c.subs, func(sub string) bool { return len(sub) == len(args[1]) && strings.EqualFold(sub, string(args[1])) })
}

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
	for _, at := range c.placesOf(args) {
		keys = append(keys, args[at])
	}
	return keys
}

// placesOf returns where among args the keys are.
func (c *command) placesOf(args [][]byte) (places []int) {
	first, last, step := c.first, c.last, c.step
	switch {
	case c.name == "msetex":
		return msetexPlaces(args)
	case c.name == "eval" || c.name == "evalsha":
		return scriptPlaces(args)
	case c.name == "memory" && len(args) > 2 && upper(args[1]) == "USAGE":
		first, last, step = 2, 2, 1
	case first == 0:
		return nil
	}
	if last < 0 {
		last += len(args)
	}
	for i := first; i <= last && i < len(args); i += step {
		places = append(places, i)
	}
	return places
}
