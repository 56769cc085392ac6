package gate

import (
	"context"
	"strings"
	"testing"
	"time"
)

const (
	// margin is the time before the deadline of a test run in which a test that
	// waits in vain says so. After the deadline it could not.
	margin = 10 * time.Second
	// poll is the time between two looks of Until.
	poll = 2 * time.Millisecond
	// patience bounds a wait of Until: it is far longer than any machine that is busy takes,
	// and short enough that a run with several failures still tells all of them.
	patience = 2 * time.Minute
)

// Context returns a context that ends with t, and some seconds before the deadline
// of the test run: the time in which what t waits for must happen. A shorter time
// would fail on a machine that is slow. In a cleanup only the deadline ends it. It
// must not be called in a synctest bubble.
func Context(t testing.TB) context.Context {
	t.Helper()
	parent := t.Context()
	if parent.Err() != nil {
		parent = context.WithoutCancel(parent)
	}
	limited, ok := t.(interface{ Deadline() (time.Time, bool) })
	if !ok {
		return parent
	}
	deadline, ok := limited.Deadline()
	if !ok {
		return parent
	}
	ctx, cancel := context.WithDeadline(parent, deadline.Add(-margin))
	t.Cleanup(cancel)
	return ctx
}

// Until waits until done reports true. If it has not after two minutes (a long proof may
// take as long as the run), or some seconds before the deadline of the test run, t fails
// with the rest of the arguments; those that are functions without parameters that return a
// string are called first.
func Until(t testing.TB, done func() bool, format string, args ...any) {
	t.Helper()
	ctx := Context(t)
	if !strings.HasPrefix(t.Name(), Prefix) {
		limited, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		ctx = limited
	}
	for !done() {
		select {
		case <-time.After(poll):
		case <-ctx.Done():
			t.Fatalf(format, called(args)...)
		}
	}
}

// called returns args with functions replaced by what they return.
func called(args []any) []any {
	for i, a := range args {
		if f, ok := a.(func() string); ok {
			args[i] = f()
		}
	}
	return args
}

// Bound limits what may be read from and written to a connection to the time of
// Context.
func Bound(t testing.TB, conn interface{ SetDeadline(time.Time) error }) {
	t.Helper()
	end, limited := Context(t).Deadline()
	if !limited {
		return
	}
	if err := conn.SetDeadline(end); err != nil {
		t.Fatal(err)
	}
}
