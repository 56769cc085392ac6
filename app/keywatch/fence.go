package main

import (
	"strconv"
	"strings"

	kw "keywatch/client"
)

// fenced is a write that can be made depend on locks. The environment has the fence
// of the locks that the command runs under.
type fenced struct {
	Fence string `help:"Only while these locks are held under these tokens: NAME=TOKEN[,...]. keywatch lock sets KEYWATCH_FENCE for its command." placeholder:"FENCE" env:"KEYWATCH_FENCE"`
}

// options returns what the fence means to a write.
func (f *fenced) options() (opts []kw.WriteOption, err error) {
	if f.Fence == "" {
		return nil, nil
	}
	for part := range strings.SplitSeq(f.Fence, ",") {
		name, text, ok := strings.Cut(strings.TrimSpace(part), "=")
		token, err := strconv.ParseUint(text, 10, 64)
		if !ok || name == "" || err != nil {
			return nil, usagef("--fence: expected NAME=TOKEN[,...], got %q", f.Fence)
		}
		opts = append(opts, kw.IfFence(name, kw.Token(token)))
	}
	return opts, nil
}

// once is a write that can be sent again, and is applied once.
type once struct {
	IdempotencyKey string `help:"Apply once, however often it is sent with this key within 10 minutes; a random one by default." placeholder:"KEY"`
}

// options returns what the key means to a write.
func (o *once) options() []kw.WriteOption {
	if o.IdempotencyKey == "" {
		return nil
	}
	return []kw.WriteOption{kw.IdempotencyKey(o.IdempotencyKey)}
}
