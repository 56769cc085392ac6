// Package reactor owns connections: many of them, on few goroutines. A connection that is
// adopted leaves Go's own poller; from then on one of the reactor's loops, a goroutine each,
// reads from it and writes to it without ever waiting. Each loop waits in an epoll of its own
// for all of its sockets. An idle connection owns no goroutine and no buffer. Over TLS
// the loop carries records between the socket and a tls.Conn in memory. Where that is
// not possible, on other systems, a pair of goroutines serves the same Handler.
//
// What a connection says is its Handler's. The reactor asks it for bytes when it was
// woken and the last bytes are written, never before: what is pending for one
// connection is at most one piece, however slow its peer is.
//
// A stream is told what to send from outside: it is woken, and Fill appends what there is. A
// protocol of requests and answers works the same way. Its connections are adopted as soon as
// they were accepted. Receive reads requests in place and keeps only what is not whole. What
// can be answered at once, and what has its place in the log, goes to a queue of the Handler,
// in order, and Receive calls Wake: Fill follows in the same turn, and one send carries all
// answers that are ready. An answer that is not ready holds those behind it; the code that has it
// calls Wake again. A Socket is a kv.Waker, so that a log wakes a connection once for
// all of its writes in a batch. While too much waits, Pause stops reading. A request that may
// take long runs in a goroutine that wakes the socket when it is done, or Fill has HandOver give the
// whole connection to one, after the answers before.
package reactor
