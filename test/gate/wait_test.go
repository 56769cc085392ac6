package gate_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"keywatch/test/gate"
)

// waitsEnv makes TestUntilSaysWhatNeverHappened the run that waits in vain.
const waitsEnv = "KEYWATCH_TEST_WAITS_IN_VAIN"

// A test that waits for what never happens must say what it waited for, and not be
// ended without a word by the deadline of the run.
func TestUntilSaysWhatNeverHappened(t *testing.T) {
	if os.Getenv(waitsEnv) != "" {
		gate.Until(t, func() bool { return false }, "never: %s", func() string { return "the reason" })
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestUntilSaysWhatNeverHappened$", "-test.timeout=10050ms")
	cmd.Env = append(os.Environ(), waitsEnv+"=1")
	out, err := cmd.CombinedOutput()
	if err == nil || !strings.Contains(string(out), "never: the reason") || strings.Contains(string(out), "panic") {
		t.Errorf("%v\n%s\nwant a failure that names its reason", err, out)
	}
}

// A failing is a test that notes how it fails.
type failing struct {
	testing.TB
	said chan string
}

func (f failing) Fatalf(format string, args ...any) {
	f.said <- fmt.Sprintf(format, args...)
	runtime.Goexit()
}

// A test that waits in vain must not wait as long as the run may take: others would not be
// heard, and the run would tell of the first only.
func TestUntilGivesUpWithinMinutes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began, said := time.Now(), make(chan string, 1)
		go gate.Until(failing{t, said}, func() bool { return false }, "never: %s", "why")
		if got, took := <-said, time.Since(began); got != "never: why" || took > 3*time.Minute {
			t.Errorf("it says %q after %v of the time in the bubble, want its reason within 3 minutes", got, took)
		}
	})
}

// A context that outlived its test would leave goroutines behind; one that ended
// at once would fail every test.
func TestContextEndsWithItsTest(t *testing.T) {
	var ctx context.Context
	t.Run("test", func(t *testing.T) {
		ctx = gate.Context(t)
		if ctx.Err() != nil {
			t.Error(ctx.Err())
		}
	})
	<-ctx.Done()
	calls := 0
	gate.Until(t, func() bool { calls++; return calls == 3 }, "it did not happen in %v", time.Hour)
}
