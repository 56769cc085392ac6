package resp

import (
	"fmt"
	"slices"
	"strings"

	"keywatch/kv"
	"keywatch/web/resp/wire"
)

func directCommand(s *session, args [][]byte) []byte {
	if len(args) == 1 {
		return s.commandInfos(nil)
	}
	switch sub := upper(args[1]); {
	case sub == "COUNT" && len(args) == 2:
		return wire.AppendInt(nil, int64(len(s.server.commands)))
	case sub == "LIST":
		return s.commandList(args[2:])
	case sub == "INFO":
		if len(args) == 2 {
			return s.commandInfos(nil)
		}
		return s.commandInfos(args[2:])
	case sub == "DOCS":
		return s.commandDocs(args[2:])
	case sub == "GETKEYS" && len(args) > 2:
		return s.commandKeys(args[2:])
	case sub == "HELP" && len(args) == 2:
		return help("COMMAND", "(no subcommand)", "    Return details about all commands.", "COUNT", "    Return the total number of commands in this server.",
			"DOCS [<command-name> ...]", "    Return documentation details.", "GETKEYS <full-command>", "    Return the keys from a full command.",
			"INFO [<command-name> ...]", "    Return details about multiple commands.", "LIST", "    Return a list of all commands in this server.")
	case sub == "COUNT" || sub == "GETKEYS" || sub == "HELP":
		return errorText(wrongArity("command|" + strings.ToLower(sub)))
	}
	return errorText(unknownSub("command", args[1]))
}

func (s *session) commandKeys(args [][]byte) []byte {
	cmd := s.server.lookup(args[0])
	if cmd == nil {
		return wire.AppendError(nil, "ERR Invalid command specified")
	}
	if cmd.arity > 0 && len(args) != cmd.arity || len(args) < -cmd.arity {
		return wire.AppendError(nil, "ERR Invalid number of arguments specified for command")
	}
	keys := cmd.keysOf(args)
	if len(keys) == 0 {
		return wire.AppendError(nil, "ERR The command has no key arguments")
	}
	b := wire.AppendArray(nil, len(keys))
	for _, k := range keys {
		b = wire.AppendBulk(b, k)
	}
	return b
}

func (s *session) commandList(args [][]byte) []byte {
	want := func(*command) bool { return true }
	if len(args) > 0 {
		if len(args) != 3 || upper(args[0]) != "FILTERBY" {
			return errorText(errSyntax)
		}
		what := strings.ToLower(string(args[2]))
		switch upper(args[1]) {
		case "PATTERN":
			want = func(c *command) bool { return glob(what).match(c.name) }
		case "ACLCAT":
			want = func(c *command) bool { return slices.Contains(c.categories(), "@"+what) }
		case "MODULE":
			want = func(*command) bool { return false }
		default:
			return errorText(errSyntax)
		}
	}
	var names []string
	for i := range s.server.commands {
		cmd := &s.server.commands[i]
		if !want(cmd) {
			continue
		}
		names = append(names, cmd.name)
		for _, sub := range cmd.subs {
			names = append(names, cmd.name+"|"+sub)
		}
	}
	return appendStrings(nil, names)
}

func (c *command) categories() (all []string) {
	for _, f := range c.flags {
		switch f {
		case "write":
			all = append(all, "@write")
		case "readonly":
			all = append(all, "@read")
		case "fast":
			all = append(all, "@fast")
		}
	}
	if !slices.Contains(c.flags, "fast") {
		all = append(all, "@slow")
	}
	if c.group != "generic" && c.group != "server" {
		all = append(all, "@"+c.group)
	} else if c.first != 0 {
		all = append(all, "@keyspace")
	}
	return all
}

func (s *session) commandInfos(names [][]byte) []byte {
	if names == nil {
		b := wire.AppendArray(nil, len(s.server.commands))
		for i := range s.server.commands {
			b = s.commandInfo(b, &s.server.commands[i])
		}
		return b
	}
	b := wire.AppendArray(nil, len(names))
	for _, name := range names {
		container, sub, two := strings.Cut(strings.ToLower(string(name)), "|")
		cmd := s.server.lookup([]byte(container))
		switch {
		case cmd == nil, two && !slices.Contains(cmd.subs, sub):
			b = s.proto.NilArray(b)
		case two:
			one := command{name: container + "|" + sub, arity: -2, flags: cmd.flags, group: cmd.group}
			b = s.commandInfo(b, &one)
		default:
			b = s.commandInfo(b, cmd)
		}
	}
	return b
}

func (s *session) commandInfo(b []byte, c *command) []byte {
	b = wire.AppendInt(wire.AppendBulk(wire.AppendArray(b, 10), c.name), int64(c.arity))
	b = s.proto.Set(b, len(c.flags))
	for _, f := range c.flags {
		b = wire.AppendSimple(b, f)
	}
	for _, n := range []int{c.first, c.last, c.step} {
		b = wire.AppendInt(b, int64(n))
	}
	cats := c.categories()
	b = s.proto.Set(b, len(cats))
	for _, cat := range cats {
		b = wire.AppendSimple(b, cat)
	}
	return wire.AppendArray(wire.AppendArray(wire.AppendArray(b, 0), 0), 0)
}

func (s *session) commandDocs(names [][]byte) []byte {
	var found []*command
	for i := range s.server.commands {
		if names == nil {
			found = append(found, &s.server.commands[i])
		}
	}
	for _, name := range names {
		if cmd := s.server.lookup(name); cmd != nil {
			found = append(found, cmd)
		}
	}
	b := s.proto.Map(nil, len(found))
	for _, c := range found {
		b = s.proto.Map(wire.AppendBulk(b, c.name), 3)
		b = wire.AppendBulk(wire.AppendBulk(b, "summary"), c.summary)
		b = wire.AppendBulk(wire.AppendBulk(b, "since"), "1.0.0")
		b = wire.AppendBulk(wire.AppendBulk(b, "group"), c.group)
	}
	return b
}

// compileObject answers OBJECT: how a value would lie in the memory of Redis.
func compileObject(c *call) (p plan, err error) {
	sub := upper(c.args[1])
	switch {
	case sub == "HELP" && len(c.args) == 2:
		return text(help("OBJECT", "ENCODING <key>", "    Return the kind of internal representation that Redis would use.", "REFCOUNT <key>", "    Return 1.")), nil
	case sub != "ENCODING" && sub != "REFCOUNT":
		return p, unknownSub("object", c.args[1])
	case len(c.args) != 3:
		return p, wrongArity("object|" + strings.ToLower(sub))
	}
	key, err := c.key(2)
	return plan{ops: []kv.Op{get(key)}, render: func(b []byte, c *call, r *kv.PartResult) []byte {
		e := r.Ops[0].Entry
		switch {
		case e == nil:
			return c.proto.Nil(b)
		case sub == "REFCOUNT":
			return append(b, textOne...)
		case r.Ops[0].NoValue:
			return wire.AppendBulk(b, "raw")
		}
		return wire.AppendBulk(b, encoding(e.Value()))
	}}, err
}

func encoding(value string) string {
	if _, ok := kv.ParseInteger(value); ok {
		return "int"
	}
	if len(value) <= 44 {
		return "embstr"
	}
	return "raw"
}

func compileMemory(c *call) (p plan, err error) {
	switch sub := upper(c.args[1]); {
	case sub == "HELP" && len(c.args) == 2:
		return text(help("MEMORY", "USAGE <key> [SAMPLES <count>]", "    Estimate memory usage of key.")), nil
	case sub != "USAGE":
		return p, unknownSub("memory", c.args[1])
	case len(c.args) != 3 && (len(c.args) != 5 || upper(c.args[3]) != "SAMPLES"):
		return p, errSyntax
	}
	key, err := c.key(2)
	return plan{ops: []kv.Op{get(key)}, meta: true, render: func(b []byte, c *call, r *kv.PartResult) []byte {
		if r.Ops[0].Entry == nil {
			return c.proto.Nil(b)
		}
		return wire.AppendInt(b, int64(r.Ops[0].Entry.Size()+len(key)+176))
	}}, err
}

// directLists answers what tools ask of parts that are not there: that they are empty.
func directLists(s *session, args [][]byte) []byte {
	name, sub := strings.ToLower(string(args[0])), upper(args[1])
	if sub == "HELP" {
		return help(strings.ToUpper(name))
	}
	switch name + " " + sub {
	case "slowlog GET", "module LIST", "function LIST", "latency LATEST", "latency HISTORY":
		return wire.AppendArray(nil, 0)
	case "slowlog LEN", "latency RESET":
		return textZero
	case "slowlog RESET", "function FLUSH", "script FLUSH":
		return textOK
	}
	return errorText(unknownSub(name, args[1]))
}

func directLolwut(s *session, _ [][]byte) []byte {
	return s.proto.Text(nil, fmt.Sprintf("keywatch ver. %s\n", s.server.opts.Version))
}
