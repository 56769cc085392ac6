package main

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"reflect"
	"regexp"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	kw "keywatch/client"
)

// usageError is a command line that cannot be run; nothing was sent.
type usageError struct {
	message string
	hint    string
}

func (e *usageError) Error() string { return e.message }

func usagef(format string, args ...any) error {
	return &usageError{message: fmt.Sprintf(format, args...)}
}

// hidden takes the place of the dash of a negative number while kong, which would
// read it as a flag, sees it. No argument of a process can hold it.
const hidden = "\x00"

var negativeNumber = regexp.MustCompile(`^-\.?[0-9]`)

// hideNumbers hides the negative numbers among args from kong.
func hideNumbers(args []string) []string {
	hid := make([]string, 0, len(args))
	for i, arg := range args {
		if arg == "--" {
			return append(hid, args[i:]...)
		}
		if negativeNumber.MatchString(arg) {
			arg = hidden + arg
		}
		hid = append(hid, arg)
	}
	return hid
}

// showNumbers undoes hideNumbers in what was parsed.
func showNumbers(parsed *kong.Context) {
	if parsed == nil {
		return
	}
	for _, p := range parsed.Path {
		if p.Positional != nil {
			showNumber(p.Positional.Target)
		} else if p.Flag != nil {
			showNumber(p.Flag.Target)
		}
	}
}

func showNumber(v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			showNumber(v.Elem())
		}
	case reflect.String:
		v.SetString(strings.TrimPrefix(v.String(), hidden))
	case reflect.Slice:
		for i := range v.Len() {
			showNumber(v.Index(i))
		}
	}
}

// refuseEmpty refuses a flag that was given without a value: in a script that is a
// variable which is not set, and must not mean that the flag was left out.
func refuseEmpty(parsed *kong.Context) error {
	for _, p := range parsed.Path {
		if p.Flag == nil || p.Resolved {
			continue
		}
		if v := reflect.Indirect(p.Flag.Target); v.Kind() == reflect.String && v.String() == "" {
			return &usageError{message: "--" + p.Flag.Name + " is empty", hint: helpHint(parsed)}
		}
	}
	return nil
}

// asUsage turns what kong found wrong into a usage error that says where to
// read on.
func asUsage(err error) error {
	var parse *kong.ParseError
	var output *outputError
	if file, ok := errors.AsType[*configError](err); ok {
		return &usageError{message: file.Error(), hint: "see keywatch serve --help"}
	}
	if !errors.As(err, &parse) || errors.As(err, &output) {
		return err
	}
	e := &usageError{message: strings.ReplaceAll(err.Error(), hidden, ""), hint: helpHint(parse.Context)}
	if strings.HasPrefix(e.message, "unknown flag") {
		e.hint += "; an argument that begins with - goes after --"
	}
	return e
}

// helpHint says which help has more.
func helpHint(parsed *kong.Context) string {
	if parsed == nil || parsed.Selected() == nil {
		return "see keywatch --help"
	}
	return "see " + helpPath(parsed.Selected()) + " --help"
}

// helpPath returns what shows the help of a command; that of a default command
// is its parent's.
func helpPath(n *kong.Node) string {
	if n.Parent != nil && n.Parent.DefaultCmd == n {
		n = n.Parent
	}
	return n.FullPath()
}

// outputAsked returns the output that args and the environment ask for, where they
// could not be parsed.
func outputAsked(args []string) string { return asked(args, "KEYWATCH_OUTPUT", "--output", "-o") }

// asked returns what args, or else the environment, ask of a flag of the given
// names, where the command line could not be parsed.
func asked(args []string, variable string, names ...string) string {
	answer := os.Getenv(variable)
	for i, arg := range args {
		for _, name := range names {
			value, found := strings.CutPrefix(arg, name)
			if !found {
				continue
			}
			if value == "" && i+1 < len(args) {
				value = args[i+1]
			}
			answer = strings.TrimPrefix(value, "=")
			break
		}
	}
	return answer
}

// durationText says what a duration looks like.
const durationText = "a duration such as 250ms, 30s or 1h30m, or plain seconds"

// parseDuration reads a duration: with units, or plain seconds, as the server does.
func parseDuration(text string) (time.Duration, error) {
	withUnit := text
	if plainSeconds.MatchString(text) {
		withUnit += "s"
	}
	d, err := time.ParseDuration(withUnit)
	if err != nil || d < 0 {
		return 0, fmt.Errorf("expected %s, got %q", durationText, strings.TrimPrefix(text, hidden))
	}
	return d, nil
}

var plainSeconds = regexp.MustCompile(`^[0-9.]+$`)

// decodeDuration is how kong reads durations.
func decodeDuration(ctx *kong.DecodeContext, target reflect.Value) error {
	var text string
	if err := ctx.Scan.PopValueInto("duration", &text); err != nil {
		return err
	}
	d, err := parseDuration(text)
	if err == nil {
		target.SetInt(int64(d))
	}
	return err
}

// decodeLevel is how kong reads levels of the log.
func decodeLevel(ctx *kong.DecodeContext, target reflect.Value) error {
	var text string
	if err := ctx.Scan.PopValueInto("level", &text); err != nil {
		return err
	}
	var level slog.Level
	if level.UnmarshalText([]byte(text)) != nil {
		return fmt.Errorf("expected debug, info, warn or error, got %q", text)
	}
	target.Set(reflect.ValueOf(level))
	return nil
}

// ttl is the time to live that a flag asks for.
type ttl struct {
	given, keep bool
	duration    time.Duration
}

// UnmarshalText reads "keep" or a duration.
func (t *ttl) UnmarshalText(text []byte) (err error) {
	t.given, t.keep = true, string(text) == "keep"
	if !t.keep {
		t.duration, err = parseDuration(string(text))
	}
	return err
}

// option returns what the flag means to a write.
func (t *ttl) option() kw.WriteOption {
	if t.keep {
		return kw.KeepTTL()
	}
	return kw.TTL(t.duration)
}
