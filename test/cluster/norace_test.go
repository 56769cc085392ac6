//go:build !race

package cluster_test

// raceFlags make the command be built with the race detector too.
var raceFlags []string
