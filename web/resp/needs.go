package resp

import (
	"fmt"
	"strings"

	"keywatch/auth"
)

// A need says what a command requires of its caller before it runs. The zero need is that no one
// may use it. Beside it the view of the door asks for each key, lease and lock.
type need struct {
	kind needKind
	// verbs are what the caller must be allowed on every key that the command names or, of needUnder, on
	// all keys there are.
	verbs []auth.Verb
	// subs have what subcommands require that require more.
	subs map[string]need
}

type needKind uint8

const (
	// The zero value lets no caller in.
	_ needKind = iota
	// needNothing lets everyone in, so that they can prove who they are.
	needNothing
	// needCaller lets callers in who may do anything at all.
	needCaller
	// needUnder lets those in who may do verbs on every key.
	needUnder
	// needVerb lets those in who may do a verb that has no target.
	needVerb
)

func onKeys(verbs ...auth.Verb) need { return need{kind: needCaller, verbs: verbs} }
func onAll(v auth.Verb) need         { return need{kind: needUnder, verbs: []auth.Verb{v}} }
func can(v auth.Verb) need           { return need{kind: needVerb, verbs: []auth.Verb{v}} }

var (
	nothing = need{kind: needNothing}
	anyone  = need{kind: needCaller}
	reads   = onKeys(auth.Read)
	writes  = onKeys(auth.Write)
	both    = onKeys(auth.Read, auth.Write)
)

// needs has what each command requires.
var needs = map[string]need{
	"get": reads, "mget": reads, "strlen": reads, "getrange": reads, "substr": reads, "kw.get": reads,
	"exists": reads, "touch": reads, "type": reads, "ttl": reads, "pttl": reads, "expiretime": reads, "pexpiretime": reads,
	"object": reads, "memory": anyone, "watch": reads,
	"set": writes, "setnx": writes, "setex": writes, "psetex": writes, "mset": writes, "msetnx": writes, "msetex": writes,
	"del": writes, "unlink": writes, "delex": writes, "delifeq": both, "getset": both, "getdel": both, "getex": reads,
	"append": both, "setrange": both, "incr": both, "decr": both, "incrby": both, "decrby": both, "incrbyfloat": both,
	"rename": writes, "renamenx": writes, "copy": anyone, // the view asks for each of the two keys
	"expire": writes, "pexpire": writes, "expireat": writes, "pexpireat": writes, "persist": both,
	"kw.cas": writes, "kw.cad": writes, "kw.check": anyone, "kw.fence": anyone, "kw.idem": anyone, "kw.holder": anyone,
	"eval": anyone, "evalsha": anyone, // the view asks for what the script does
	"scan": anyone, "keys": anyone, // the view asks for what begins as the pattern does
	"randomkey": onAll(auth.Read), "dbsize": onAll(auth.Read), "flushdb": onAll(auth.Write), "flushall": onAll(auth.Write),

	"kw.lock": anyone, "kw.unlock": anyone, "kw.renew": anyone, "kw.lease": can(auth.Lease),
	"subscribe": anyone, "psubscribe": anyone, "unsubscribe": anyone, "punsubscribe": anyone, "kw.watch": anyone, "kw.unwatch": anyone,
	"pubsub": {kind: needCaller, subs: map[string]need{"CHANNELS": can(auth.Operate), "NUMSUB": can(auth.Operate), "NUMPAT": can(auth.Operate)}},

	"multi": anyone, "exec": anyone, "discard": anyone, "unwatch": anyone,
	"auth": nothing, "hello": nothing, "quit": nothing, "reset": nothing,
	"ping": anyone, "echo": anyone, "select": anyone, "acl": anyone, "time": anyone, "lolwut": anyone, "wait": anyone, "waitaof": anyone,
	"info":    anyone, // without verb metrics it leaves out what tells of others
	"client":  {kind: needCaller, subs: map[string]need{"LIST": can(auth.Operate), "KILL": can(auth.Operate)}},
	"config":  {kind: needCaller, subs: map[string]need{"SET": can(auth.Operate), "RESETSTAT": can(auth.Operate)}},
	"command": anyone, "script": anyone, "slowlog": anyone, "latency": anyone, "module": anyone, "function": anyone, "cluster": anyone,
}

// may returns why the caller may not run a command, nil if it may, or if there is no authentication.
func (s *session) may(cmd *command, args [][]byte) error {
	if s.who.Load() == nil {
		return s.server.opts.Door.Shut()
	}
	n, name := cmd.need, cmd.name
	if len(n.subs) > 0 && len(args) > 1 {
		if sub, ok := n.subs[upper(args[1])]; ok {
			n, name = sub, name+"|"+strings.ToLower(string(args[1]))
		}
	}
	if n.kind == needNothing {
		return nil
	}
	if err := s.good(); err != nil {
		return err
	}
	switch n.kind {
	case needCaller:
		return s.mayKeys(cmd, n.verbs, args)
	case needUnder:
		_, err := s.view().MayUnder(n.verbs[0], "")
		return s.noCommand(name, err)
	case needVerb:
		_, err := s.view().May(n.verbs[0])
		return s.noCommand(name, err)
	}
	return s.noCommand(name, &auth.DeniedError{Need: "nothing that can be granted", Index: -1})
}

// good returns an error if the caller has proved nothing and may do nothing, or its credential ended.
func (s *session) good() error {
	if err := s.uncertified(); err != nil {
		return err
	}
	who := s.who.Load()
	if err := who.Good(); err != nil {
		return err
	}
	if who.Kind() == auth.Anonymous && who.Look().Empty() {
		return &auth.FailedError{Reason: auth.Missing}
	}
	return nil
}

func (s *session) mayKeys(cmd *command, verbs []auth.Verb, args [][]byte) error {
	if len(verbs) == 0 {
		return nil
	}
	for _, key := range cmd.keysOf(args) {
		for _, v := range verbs {
			if _, err := s.view().MayKey(v, string(key)); err != nil {
				return err
			}
		}
	}
	return nil
}

// noCommand returns err as Redis says that a user may not run a command.
func (s *session) noCommand(name string, err error) error {
	if denied, ok := err.(*auth.DeniedError); ok {
		text := fmt.Sprintf("NOPERM User %s has no permissions to run the '%s' command: requires %s", s.userName(), name, denied.Need)
		return &commandDenied{refusal(text), denied}
	}
	return err
}
