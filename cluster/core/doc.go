// Package core is one server's part in Raft, without goroutine, clock, channel or I/O of its
// own. The owner of a [Core] steps it with messages and ticks, and does the work that it
// returns: the loop of package cluster does so for a server, and package sim for a whole
// cluster in one goroutine.
//
// A [Storage] is what Raft reads: the log, with what was appended last in memory, and the members.
package core
