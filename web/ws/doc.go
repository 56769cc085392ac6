// Package ws serves WebSockets: commands, answers and watches as JSON, many of
// each on one connection.
//
// It begins where the handshake of HTTP ends. The server that shook hands calls Begin for
// a place, opens the watch that the URL asks for, and gives the connection away
// with Adopt; from then on a reactor owns it, and an idle socket has neither a
// goroutine nor a buffer. Commands run in their order on runners, of which there
// are few: reads at once, writes by taking their place in the log, so that many
// are under way.
package ws
