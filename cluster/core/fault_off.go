//go:build !keywatchfault

package core

// faulty tells whether this build makes a mistake on purpose. It makes none.
func faulty(fault) bool { return false }
