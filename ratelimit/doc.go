// Package ratelimit bounds what each caller asks for, and what it makes the server
// hold in memory.
//
// # Requests
//
// A caller has one token bucket for each class of request: reads, writes and
// new watches. A request takes as many tokens as it costs (a batch costs its
// operations); a bucket refills at its rate up to its burst. What is refused
// takes nothing.
//
// Memory is bounded. A caller that has been quiet for Options.Idle and whose
// buckets are full again is forgotten, which changes nothing for it. While
// Options.MaxCallers callers are known, all further ones share one overflow
// caller, so a flood of new addresses cannot push out or slow down those that
// are known.
//
// # Memory
//
// A [Budget] is the one account of the memory that callers make the server hold beside
// the data: connections, watches, request bodies and messages, answers that are not
// taken. A connection, a socket or a stream opens a [Hold] for its caller and charges
// it before it allocates. Whatever takes more than its charge allows is refused with a
// [FullError], which names the limit. Every protocol charges the same budget, and so
// does what keeps something for a caller later, such as sessions of users.
//
// The rule for code that allocates for a caller: what is below the allowance of a
// connection and ends with the request is not charged, for the connection's own charge
// has room for it. All else is charged before it is allocated, in steps as it arrives
// rather than as it was announced, and given back when it is let go of. What was
// promised before its size was known is charged by [Hold.Force].
//
// What the state itself keeps for callers (idempotency records, leases, locks,
// versions for snapshots) belongs to --memory-max, and is counted by package kv.
//
// # Who a caller is
//
// The package decides by name alone: who a caller is, and who is exempt, is
// its user's business. It has no goroutine and needs no Close.
package ratelimit
