// Package resp lets clients of Redis speak to keywatch: the same store, the same keys and the
// same limits as over HTTP.
//
// # A session
//
// A connection is adopted by a reactor as soon as it was accepted. Its loop reads requests in
// place. What can be answered at once is, and writes take their place in the log there and
// then; both leave a reply in the queue of the session, which Fill renders in order. What may
// wait (values that are not in memory, scans, commands that read before they write) runs on
// a pool of goroutines, and the session parses no further until it is answered.
//
// A command sees all that its connection has sent before. So a read behind writes of its own
// connection that are not applied yet has its place in the log too.
//
// # A command
//
// One table says of each command its arity, its keys and what it does. Most compile to a part
// of a kv.Command, checks and operations, and a function that renders what became of it: alone
// it is a command, and EXEC makes one command of the parts of all that were queued.
package resp
