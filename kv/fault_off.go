//go:build !keywatchfault

package kv

// A build with the tag keywatchfault can be a release before or after this one, so that a cluster of several can be
// tested. These are the places where they differ; without the tag they do nothing and are inlined.

// released returns the levels of commands in this release.
func released(levels map[byte]int) map[byte]int { return levels }

// faulty tells whether this build makes a mistake on purpose. It makes none.
func faulty(fault) bool { return false }

// forgets reports whether a release does not know a kind of command. This one knows all.
func forgets(byte) bool { return false }
