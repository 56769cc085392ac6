// Package reactor owns the connections of streams: many of them, on few
// goroutines. A connection that is adopted leaves the HTTP server and Go's own
// poller; from then on one of the reactor's loops, a goroutine each, writes to
// it without ever waiting, and a poller tells when the peer has sent something
// or reads again. An idle connection owns no goroutine and no buffer. Where that
// is not possible, under TLS or on other systems, a pair of goroutines serves
// the same Handler.
//
// What a stream says is its Handler's. The reactor asks it for bytes when it was
// woken and the last bytes are written, never before: what is pending for one
// connection is at most one piece, however slow its peer is.
package reactor
