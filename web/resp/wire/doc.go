// Package wire reads the requests of the Redis serialization protocol, RESP2 and RESP3, and
// writes its replies. It knows bytes only: no connection, no command.
package wire
