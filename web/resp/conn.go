package resp

import (
	"strconv"
	"strings"
	"time"

	"keywatch/web/resp/wire"
)

// redisVersion is the version of Redis whose commands and words these are.
const redisVersion = "7.4.0"

func errorText(err error) []byte { return wire.AppendError(nil, err.Error()) }

func directPing(s *session, args [][]byte) []byte {
	if len(args) > 2 {
		return errorText(wrongArity("ping"))
	}
	if s.proto == wire.RESP2 && s.subscriptions() > 0 {
		b := wire.AppendBulk(wire.AppendArray(nil, 2), "pong")
		if len(args) == 2 {
			return wire.AppendBulk(b, args[1])
		}
		return wire.AppendBulk(b, "")
	}
	if len(args) == 2 {
		return wire.AppendBulk(nil, args[1])
	}
	return wire.AppendSimple(nil, "PONG")
}

func directEcho(_ *session, args [][]byte) []byte { return wire.AppendBulk(nil, args[1]) }

func directQuit(s *session, _ [][]byte) []byte {
	s.say(textOK)
	s.closing = true
	return nil
}

func directReset(s *session, _ [][]byte) []byte {
	s.multi, s.off, s.skip = nil, false, 0
	s.unwatch()
	s.noteQueued()
	s.endPushes()
	s.setProto(wire.RESP2)
	if s.server.opts.Door.Table() != nil {
		s.certify()
	}
	s.mu.Lock()
	s.aboutLocked().name = ""
	s.mu.Unlock()
	return wire.AppendSimple(nil, "RESET")
}

func (s *session) setProto(p wire.Proto) {
	s.proto = p
	s.mu.Lock()
	s.mu.proto = p
	s.mu.Unlock()
}

func directSelect(_ *session, args [][]byte) []byte {
	n, err := strconv.Atoi(string(args[1]))
	switch {
	case err != nil:
		return errorText(errNotInteger)
	case n != 0:
		return wire.AppendError(nil, "ERR DB index is out of range")
	}
	return textOK
}

func directTime(_ *session, _ [][]byte) []byte {
	now := time.Now()
	b := wire.AppendBulk(wire.AppendArray(nil, 2), strconv.FormatInt(now.Unix(), 10))
	return wire.AppendBulk(b, strconv.Itoa(now.Nanosecond()/1000))
}

// plainName reports whether a name has no blanks and nothing that is not visible.
func plainName(name []byte) bool {
	for _, c := range name {
		if c < '!' || c > '~' {
			return false
		}
	}
	return true
}

// help returns the lines that HELP answers with.
func help(name string, lines ...string) []byte {
	all := append([]string{name + " <subcommand> [<arg> [value] [opt] ...]. Subcommands are:"}, lines...)
	all = append(all, "HELP", "    Print this help.")
	b := wire.AppendArray(nil, len(all))
	for _, l := range all {
		b = wire.AppendSimple(b, l)
	}
	return b
}

func directCluster(_ *session, args [][]byte) []byte {
	if len(args) > 1 && upper(args[1]) == "HELP" {
		return help("CLUSTER")
	}
	return wire.AppendError(nil, "ERR This instance has cluster support disabled")
}

func directWait(s *session, args [][]byte) []byte {
	for _, a := range args[1:] {
		if _, err := strconv.ParseInt(string(a), 10, 64); err != nil {
			return errorText(errNotInteger)
		}
	}
	if strings.EqualFold(string(args[0]), "waitaof") {
		local := int64(0)
		if s.server.opts.Fsync {
			local = 1
		}
		return wire.AppendInt(wire.AppendInt(wire.AppendArray(nil, 2), local), 0)
	}
	return textZero
}
