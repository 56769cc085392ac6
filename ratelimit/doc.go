// Package ratelimit counts what each caller asks for and says when to stop.
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
// The package decides by name alone: who a caller is, and who is exempt, is
// its user's business. It has no goroutine and needs no Close.
package ratelimit
