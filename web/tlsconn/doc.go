// Package tlsconn is the server's end of TLS over a connection. It is crypto/tls, except that a
// connection can be closed without a wait.
package tlsconn
