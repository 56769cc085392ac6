// Package wire reads and writes the frames of WebSocket (RFC 6455) as a server
// does, on byte slices and without a connection: a Reader is given bytes as they
// arrive, in pieces of any size, and returns whole messages and control frames.
// What arrives in one piece is not copied, and a Reader between two messages
// holds nothing. Extensions are not spoken.
package wire
