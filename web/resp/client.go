package resp

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"keywatch/web/resp/wire"
)

var clientHelp = []string{
	"CACHING (YES|NO)", "    Enable/disable tracking of the keys for next command in OPTIN/OPTOUT modes.",
	"GETREDIR", "    Return the client ID we are redirecting to when tracking is enabled.",
	"GETNAME", "    Return the name of the current connection.",
	"ID", "    Return the ID of the current connection.", "INFO", "    Return information about the current client connection.",
	"KILL <ip:port>", "    Kill connection made from <ip:port>.", "KILL <option> <value> [...]", "    Kill connections by ID, ADDR, LADDR, USER, TYPE, SKIPME or MAXAGE.",
	"LIST [options ...]", "    Return information about client connections.", "NO-EVICT (ON|OFF)", "    Accepted; nothing is evicted.",
	"NO-TOUCH (ON|OFF)", "    Accepted.", "REPLY (ON|OFF|SKIP)", "    Control the replies sent to the current connection.",
	"SETINFO <option> <value>", "    Set client meta attr.", "SETNAME <name>", "    Assign the name <name> to the current connection.",
	"TRACKING (ON|OFF) [REDIRECT <id>] [BCAST] [PREFIX <prefix> [...]] [OPTIN] [OPTOUT] [NOLOOP]", "    Control server assisted client side caching.",
	"TRACKINGINFO", "    Report tracking status for the current connection.",
}

// clientSubs are the subcommands of CLIENT: how many words each has, negative at least so many.
var clientSubs = map[string]int{
	"ID": 2, "INFO": 2, "LIST": -2, "SETNAME": 3, "GETNAME": 2, "SETINFO": 4, "REPLY": 3, "KILL": -3, "NO-EVICT": 3,
	"NO-TOUCH": 3, "HELP": 2, "TRACKING": -3, "CACHING": 3, "GETREDIR": 2, "TRACKINGINFO": 2, "UNBLOCK": -3,
}

func directClient(s *session, args [][]byte) []byte {
	sub := upper(args[1])
	arity, ok := clientSubs[sub]
	switch {
	case !ok:
		return errorText(unknownSub("client", args[1]))
	case arity > 0 && len(args) != arity || len(args) < -arity:
		return errorText(wrongArity("client|" + strings.ToLower(sub)))
	}
	switch sub {
	case "HELP":
		return help("CLIENT", clientHelp...)
	case "ID":
		return wire.AppendInt(nil, int64(s.id))
	case "INFO":
		return s.proto.Text(nil, s.line(s)+"\n")
	case "LIST":
		return s.listClients(args[2:])
	case "SETNAME", "GETNAME":
		return s.clientName(args)
	case "SETINFO":
		return s.clientInfo(args)
	case "REPLY":
		return s.clientReply(upper(args[2]))
	case "KILL":
		return s.kill(args[2:])
	case "NO-EVICT", "NO-TOUCH":
		if word := upper(args[2]); word != "ON" && word != "OFF" {
			return errorText(errSyntax)
		}
		return textOK
	case "UNBLOCK":
		return textZero
	}
	return s.clientTracking(sub, args)
}

func (s *session) clientName(args [][]byte) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(args) == 2 {
		if s.aboutLocked().name == "" {
			return s.proto.Nil(nil)
		}
		return wire.AppendBulk(nil, s.mu.about.name)
	}
	if !plainName(args[2]) {
		return wire.AppendError(nil, "ERR Client names cannot contain spaces, newlines or special characters.")
	}
	s.aboutLocked().name = string(args[2])
	return textOK
}

func (s *session) clientInfo(args [][]byte) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	field := &s.aboutLocked().libName
	switch name := strings.ToLower(string(args[2])); name {
	case "lib-name":
	case "lib-ver":
		field = &s.mu.about.libVersion
	default:
		return wire.AppendError(nil, fmt.Sprintf("ERR Unrecognized option '%s'", args[2]))
	}
	if !plainName(args[3]) {
		return wire.AppendError(nil, fmt.Sprintf("ERR %s cannot contain spaces, newlines or special characters.", strings.ToLower(string(args[2]))))
	}
	*field = string(args[3])
	return textOK
}

func (s *session) clientReply(how string) []byte {
	switch how {
	case "ON":
		s.off, s.skip = false, 0
		return textOK
	case "OFF":
		s.off = true
		return nil
	case "SKIP":
		if !s.off {
			s.skip = 2 // this command's, which says nothing, and the next one's
		}
		return nil
	}
	return errorText(errSyntax)
}

// line returns what CLIENT LIST says of a connection. mine is the one that asks.
func (s *session) line(mine *session) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.server.since()
	a := about{flags: "N"}
	if s.mu.about != nil {
		if a = *s.mu.about; a.flags == "" {
			a.flags = "N"
		}
	}
	queued, watch := s.mu.queued, 0
	if queued == 0 && s.mu.command == 0 {
		queued = -1
	}
	if s == mine {
		watch = len(s.watched)
	}
	if s == mine && s.multi == nil || s != mine && queued == 0 {
		queued = -1
	}
	idle := int64(0)
	if s != mine {
		idle = now - max(s.mu.lastActive, s.began)
	}
	proto := max(s.mu.proto, wire.RESP2)
	command := s.commandLocked()
	sub, psub := s.what.Load().counts()
	redirect := s.what.Load().redirect()
	return fmt.Sprintf("id=%d addr=%s laddr=%s fd=%d name=%s age=%d idle=%d flags=%s db=0 sub=%d psub=%d ssub=0 multi=%d watch=%d "+
		"qbuf=0 qbuf-free=0 argv-mem=0 multi-mem=0 rbs=0 rbp=0 obl=0 oll=0 omem=0 tot-mem=%d events=r cmd=%s user=%s redir=%d resp=%d lib-name=%s lib-ver=%s "+
		"tot-net-in=0 tot-net-out=0 tot-cmds=0",
		s.id, s.peer, s.local, s.id+8, a.name, (now-s.began)/1e9, idle/1e9, a.flags, sub, psub, queued, watch,
		sessionCost, command, s.userName(), redirect, proto, a.libName, a.libVersion)
}

// commandLocked returns the last command that the connection has sent; mu is held.
func (s *session) commandLocked() string {
	if s.mu.command == 0 {
		return "NULL"
	}
	cmd := &s.server.commands[s.mu.command-1]
	if s.mu.sub == 0 {
		return cmd.name
	}
	return cmd.name + "|" + cmd.subs[s.mu.sub-1]
}

func (s *session) listClients(args [][]byte) []byte {
	var ids []uint64
	for i := 0; i < len(args); i++ {
		switch word := upper(args[i]); {
		case word == "TYPE" && i+1 < len(args):
			i++
			switch kind := strings.ToLower(string(args[i])); kind {
			case "normal", "pubsub":
			case "master", "primary", "replica", "slave":
				return s.proto.Text(nil, "")
			default:
				return wire.AppendError(nil, fmt.Sprintf("ERR Unknown client type '%s'", args[i]))
			}
		case word == "ID" && i+1 < len(args):
			for i++; i < len(args); i++ {
				id, err := strconv.ParseUint(string(args[i]), 10, 64)
				if err != nil || id == 0 {
					return wire.AppendError(nil, "ERR Invalid client ID")
				}
				ids = append(ids, id)
			}
		default:
			return errorText(errSyntax)
		}
	}
	var b strings.Builder
	for _, other := range s.server.sessions() {
		if ids == nil || slices.Contains(ids, other.id) {
			b.WriteString(other.line(s))
			b.WriteByte('\n')
		}
	}
	return s.proto.Text(nil, b.String())
}

// A killing is which connections CLIENT KILL ends.
type killing struct {
	id             uint64
	addr, laddr    string
	user, kind     string
	skipMe, old    bool
	age            time.Duration
	hasID, hasKind bool
}

func (s *session) kill(args [][]byte) []byte {
	k := killing{skipMe: true}
	if len(args) == 1 {
		k.addr, k.skipMe, k.old = string(args[0]), false, true
	} else if text := k.parse(s.server, args); text != "" {
		return wire.AppendError(nil, text)
	}
	n := 0
	for _, other := range s.server.sessions() {
		if !k.picks(other, s) {
			continue
		}
		n++
		if other == s {
			s.closing = true // after this reply
		} else {
			other.abort(errKilled)
		}
	}
	if !k.old {
		return wire.AppendInt(nil, int64(n))
	}
	if n == 0 {
		return wire.AppendError(nil, "ERR No such client")
	}
	return textOK
}

const errKilled = refusal("killed")

func (k *killing) parse(v *Server, args [][]byte) string {
	if len(args)%2 != 0 {
		return string(errSyntax)
	}
	for i := 0; i < len(args); i += 2 {
		value := string(args[i+1])
		switch upper(args[i]) {
		case "ID":
			id, err := strconv.ParseUint(value, 10, 63)
			if err != nil || id == 0 {
				return "ERR client-id should be greater than 0"
			}
			k.id, k.hasID = id, true
		case "ADDR":
			k.addr = value
		case "LADDR":
			k.laddr = value
		case "USER":
			if value != defaultUser && v.opts.Door.Table() == nil {
				return fmt.Sprintf("ERR No such user '%s'", value)
			}
			k.user = value
		case "TYPE":
			k.kind, k.hasKind = strings.ToLower(value), true
			if !slices.Contains([]string{"normal", "pubsub", "master", "primary", "replica", "slave"}, k.kind) {
				return fmt.Sprintf("ERR Unknown client type '%s'", value)
			}
		case "SKIPME":
			switch strings.ToLower(value) {
			case "yes":
				k.skipMe = true
			case "no":
				k.skipMe = false
			default:
				return string(errSyntax)
			}
		case "MAXAGE":
			n, err := strconv.ParseInt(value, 10, 64)
			if err != nil {
				return "ERR maxage is not an integer or out of range"
			}
			if n <= 0 {
				return "ERR maxage should be greater than 0"
			}
			k.age = time.Duration(n) * time.Second
		default:
			return string(errSyntax)
		}
	}
	return ""
}

// picks reports whether a connection is to be ended; mine is the one that asks.
func (k *killing) picks(other, mine *session) bool {
	pubsub := false
	if sub, psub := other.what.Load().counts(); sub+psub > 0 {
		pubsub = true
	}
	switch {
	case k.skipMe && other == mine,
		k.hasID && other.id != k.id,
		k.user != "" && other.userName() != k.user,
		k.addr != "" && other.peer.String() != k.addr,
		k.laddr != "" && other.local.String() != k.laddr,
		k.hasKind && (k.kind == "pubsub") != pubsub,
		k.hasKind && k.kind != "pubsub" && k.kind != "normal",
		k.age > 0 && time.Duration(other.server.since()-other.began) < k.age:
		return false
	}
	return true
}
