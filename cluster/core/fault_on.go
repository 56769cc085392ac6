//go:build keywatchfault

package core

import (
	"os"
	"sync/atomic"
)

// Faults are the names of the mistakes that this build can make.
var Faults = []string{string(earlyAnswer), string(forgottenVote), string(staleRead), string(lostCommit), string(joinByLog), string(forgottenReport)}

// planted is the fault of this process, which the environment may name.
var planted = func() *atomic.Pointer[string] {
	name, p := os.Getenv("KEYWATCH_FAULT"), new(atomic.Pointer[string])
	p.Store(&name)
	return p
}()

// Plant has every Core of the process make a mistake from now on; "" ends that.
func Plant(name string) { planted.Store(&name) }

// faulty tells whether f was planted.
func faulty(f fault) bool {
	name := planted.Load()
	return name != nil && *name == string(f)
}
