//go:build race

package e2e_test

// raceEnabled makes the command be built with the race detector too.
const raceEnabled = true
