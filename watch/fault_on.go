//go:build keywatchfault

package watch

import (
	"os"
	"sync"

	"keywatch/kv"
)

// A Fault is a mistake that a hub of this build makes now and then.
type Fault string

// The faults, by where they strike.
const (
	NoFault Fault = ""

	// What the dispatcher leaves with watchers, and they read from the ring.
	DropEvent     Fault = "an event is dropped"
	RepeatEvent   Fault = "an event comes twice"
	SwapRevisions Fault = "two revisions change places"
	TearRevision  Fault = "a revision loses its end"
	StrayEvent    Fault = "an event goes to another watcher"

	// What watchers are told.
	SplitRevision  Fault = "a position splits a revision"
	LosePosition   Fault = "a position is left out"
	OldPosition    Fault = "a position is too old"
	EarlyPosition  Fault = "a position is too new"
	EarlyProgress  Fault = "progress runs ahead"
	WrongVersion   Fault = "a version is wrong"
	StaleState     Fault = "a state has an old version"
	ForgetKey      Fault = "a state lacks a key"
	ForgetDeletion Fault = "a resync lacks a deletion"
	ForgetChange   Fault = "a resync lacks a change"
	LateSynced     Fault = "synced has an old position"
	QuietReset     Fault = "a reset is not announced"
	MarkedReset    Fault = "a reset has a position"

	// Where a watch resumes.
	ResumeEarly Fault = "a watch resumes one revision early"
	ResumeLate  Fault = "a watch resumes one revision late"
	WideFilter  Fault = "a key matches that should not"
	BlindFloor  Fault = "lost history is not noticed"
)

// faultEvery is how often a fault strikes: each time out of so many.
const faultEvery = 3

// planted is the fault of this process, which the environment may name.
var planted = struct {
	sync.Mutex
	fault Fault
	n     int
	// first are the first versions that were told of keys.
	first map[string]*kv.Entry
}{fault: Fault(os.Getenv("KEYWATCH_FAULT"))}

// Plant makes f the fault of all hubs of this process. It is safe for concurrent
// use.
func Plant(f Fault) {
	planted.Lock()
	defer planted.Unlock()
	planted.fault, planted.n, planted.first = f, 0, nil
}

// strikes reports whether it is f's turn.
func strikes(f Fault) bool {
	planted.Lock()
	defer planted.Unlock()
	if planted.fault != f {
		return false
	}
	planted.n++
	return planted.n%faultEvery == 0
}

// firstOf returns the first version of key that was told of, which is e if there
// was none.
func firstOf(key string, e *kv.Entry) *kv.Entry {
	planted.Lock()
	defer planted.Unlock()
	if planted.first == nil {
		planted.first = map[string]*kv.Entry{}
	}
	if was := planted.first[key]; was != nil {
		return was
	}
	planted.first[key] = e
	return e
}

func faultRefs(refs []ref) []ref {
	n := len(refs)
	if n == 0 {
		return refs
	}
	last := refs[n-1]
	switch {
	case n > 1 && strikes(DropEvent):
		return refs[1:]
	case strikes(RepeatEvent):
		return append(refs, last)
	case refs[0].rev != last.rev && strikes(SwapRevisions):
		refs[0], refs[n-1] = last, refs[0]
	case endOfBatch(refs) > 0 && strikes(TearRevision):
		i := endOfBatch(refs)
		return append(refs[:i], refs[i+1:]...)
	case last.seq > 0 && strikes(StrayEvent):
		refs[n-1].seq--
	}
	return refs
}

func faultSince(rev kv.Rev) kv.Rev {
	switch {
	case rev > 1 && strikes(ResumeEarly):
		return rev - 1
	case strikes(ResumeLate):
		return rev + 1
	}
	return rev
}

func faultMatch() bool { return strikes(WideFilter) }

func faultLost() bool { return strikes(BlindFloor) }

// endOfBatch returns where the last change of the first revision with more than
// one is, 0 if there is none.
func endOfBatch(refs []ref) int {
	end := 0
	for i := 1; i < len(refs) && (end == 0 || refs[i].rev == refs[end].rev); i++ {
		if refs[i].rev == refs[i-1].rev {
			end = i
		}
	}
	return end
}
