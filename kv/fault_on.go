//go:build keywatchfault

package kv

import "os"

// What a process of this build is, if the environment says so and names no fault: one kind of command is then of the
// level that follows this release's.
const (
	// beforeRelease does not know the kind, and ends if it is to apply one.
	beforeRelease = "the release before"
	// nextRelease knows it.
	nextRelease = "a release to come"
)

// release is what this process is.
var release = os.Getenv("KEYWATCH_FAULT")

// faulty tells whether this process makes a mistake.
func faulty(f fault) bool { return release == string(f) }

// newKind is the kind of command that is new.
const newKind = commandExtended

// released returns the levels of commands in this release.
func released(levels map[byte]int) map[byte]int {
	if release == nextRelease {
		levels[newKind] = levels[commandSince] + 1 // which is the newest of this release
	}
	return levels
}

// forgets reports whether this release does not know a kind of command.
func forgets(kind byte) bool { return release == beforeRelease && kind == newKind }
