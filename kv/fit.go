package kv

import "maps"

const (
	// fitLeast is the size from which on a map is made smaller, fitShare how much smaller
	// it must have become: so few that copying what is left is quick.
	fitLeast, fitShare = 4096, 64
)

// fit returns m or, once m has far fewer entries than it had, a smaller map with the same
// entries: Go never makes a map smaller, and a crowd that has left would hold memory for
// ever. It is called after entries were deleted. most, which belongs to m, is the most that
// m had.
func fit[K comparable, V any](m map[K]V, most *int) map[K]V {
	*most = max(*most, len(m)+1)
	if *most < fitLeast || len(m) > *most/fitShare {
		return m
	}
	*most = len(m)
	less := make(map[K]V, len(m))
	maps.Copy(less, m)
	return less
}
