// Package tlsconn is TLS over a connection that an event loop may carry on: it then moves
// records between the connection and memory, and no goroutine waits. It is crypto/tls otherwise, except
// that a connection can be closed without a wait.
package tlsconn
