package reactor

import "keywatch/web/tlsconn"

// Secure returns the Handler of a socket over TLS, whose connection is detached.
func Secure(conn *tlsconn.Conn, socket Socket, handler func(Socket) Handler) Handler {
	return secure(conn, socket, nil, handler)
}
