package resp

import (
	"errors"
	"fmt"
	"strings"

	"keywatch/auth"
	"keywatch/kv"
	"keywatch/web/api"
)

// A refusal is an error as a client is answered: its first word is a code.
type refusal string

func (r refusal) Error() string { return string(r) }

func refusef(format string, args ...any) error { return refusal(fmt.Sprintf(format, args...)) }

// The refusals that more than one command has.
const (
	errSyntax     refusal = "ERR syntax error"
	errNotInteger refusal = "ERR value is not an integer or out of range"
	errNotFloat   refusal = "ERR value is not a valid float"
	errNoKey      refusal = "ERR no such key"
	errTooMany    refusal = "ERR too many keys"
	errReserved   refusal = "NOPERM keys under locks/ are written by lock commands only"
	errContended  refusal = "TRYAGAIN contended: the key is written too often"
	errStopping   refusal = "TRYAGAIN stopping"
	errNoAuth     refusal = "NOAUTH Authentication required."
	errMoved      refusal = "TRYAGAIN permissions_changed"
)

// firstWords are what clients are told in the place of a code of the store. Those with TRYAGAIN and
// LOADING were not applied, and clients repeat them; UNKNOWN perhaps was, and is repeated by
// none.
var firstWords = map[api.Code]string{
	api.CodeQueueFull: "TRYAGAIN", api.CodeNoLeader: "TRYAGAIN", api.CodeRateLimited: "TRYAGAIN",
	api.CodeTierUnavailable: "TRYAGAIN", api.CodeStopping: "TRYAGAIN", api.CodeContended: "TRYAGAIN",
	api.CodePermissionsChanged: "TRYAGAIN",
	api.CodeStarting:           "LOADING", api.CodeMemoryFull: "OOM", api.CodeDiskFull: "MISCONF",
	api.CodeClientMemoryFull: "OOM", api.CodeCallerMemoryFull: "OOM", api.CodeOutcomeUnknown: "UNKNOWN",
}

// A commandDenied is a denial as Redis says that a user may not run a command.
type commandDenied struct {
	refusal
	cause *auth.DeniedError
}

func (d *commandDenied) Unwrap() []error { return []error{d.refusal, d.cause} }

// denied has it written down if a command was refused for the lack of a credential or a permission.
func (s *session) denied(cmd *command, err error) {
	if f := api.Denied(err); f != nil {
		s.server.opts.Denied(api.Denial{Who: s.who.Load(), Address: s.caller.Value(), Operation: "RESP " + strings.ToUpper(cmd.name), Failure: f})
	}
}

// explain is Server.explain for the command of a call, whose denial it has written down.
func (c *call) explain(err error) string {
	c.s.denied(c.cmd, err)
	return c.v.explain(err)
}

// explain returns what a client is told of err.
func (v *Server) explain(err error) string {
	var known refusal
	if errors.As(err, &known) {
		return string(known)
	}
	f := api.FailureOf(err)
	v.opts.Refused(f.Code)
	switch f.Code {
	case api.CodeUnauthenticated:
		return string(errNoAuth)
	case api.CodeDenied:
		return "NOPERM No permissions to access a key: requires " + f.Need
	case api.CodeReservedKey:
		return string(errReserved)
	case api.CodeValueTooLarge:
		return v.tooLarge()
	case api.CodeBatchTooLarge:
		return "ERR batch_too_large: " + f.Detail
	case api.CodeBadKey:
		var bad *kv.KeyError
		if errors.As(err, &bad) {
			return "ERR bad key: " + bad.Reason
		}
	case api.CodeInternal:
		v.opts.Logger.Error("command failed", "err", err)
	}
	if word, ok := firstWords[f.Code]; ok {
		return word + " " + string(f.Code)
	}
	return "ERR " + string(f.Code) + ": " + f.Detail
}

func (v *Server) tooLarge() string {
	return fmt.Sprintf("ERR string exceeds maximum allowed size (%d bytes)", v.opts.Door.Limits().Value)
}

// unknownCommand returns the refusal of a command that does not exist.
func unknownCommand(args [][]byte) error {
	var b strings.Builder
	for _, a := range args[1:] {
		if b.Len() >= 128 {
			break
		}
		fmt.Fprintf(&b, "'%.*s' ", 128-b.Len(), a)
	}
	return refusef("ERR unknown command '%.128s', with args beginning with: %s", args[0], b.String())
}

// unknownSub returns the refusal of a subcommand that does not exist.
func unknownSub(name string, sub []byte) error {
	return refusef("ERR unknown subcommand '%.128s'. Try %s HELP.", sub, strings.ToUpper(name))
}

func wrongArity(name string) error {
	return refusef("ERR wrong number of arguments for '%s' command", strings.ToLower(name))
}
