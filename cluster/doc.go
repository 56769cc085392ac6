// Package cluster gives commands one durable order and applies them: it is the
// write path of keywatch. A [Node] collects the commands of many callers into
// log entries (group commit), has each entry made durable by Raft, applies it to
// the state, and hands every caller its result.
//
// A single server is a Raft cluster of one, so that there is one code path and
// the cluster can grow. It elects itself at once, because no other server could be
// leader, and keeps the timeouts that it needs when it grows.
//
// Time is part of the order. Each entry carries the log time of its leader: the
// time of the last entry plus the monotonic time since in which the leader worked, so
// that no step of the wall clock ends a TTL early, nor the time in which a server was
// down, its process stopped, or its log stuck. While deadlines exist an entry is logged
// at least each second, and whenever one is due.
//
// Several servers can be the members of a store: they elect one that leads. Each takes commands
// and hands them to the leader, applies what is committed, answers its callers from that, and
// answers reads once it has what was acknowledged before. What carries their frames is the
// opener's. A roster in the state says who they are; a steward, which runs where the leader is, has them
// vote once they have caught up, and replaces and removes.
//
// A core is Raft itself, without goroutine, clock or I/O; the loop owns it, a writer
// writes the log, and storage is what Raft reads of it. The node takes log, stable store and
// checkpoints from its opener; of package wal it knows the entries.
package cluster
