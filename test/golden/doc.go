// Package golden holds recordings of what the server sends, to the byte: each
// file in testdata is a script of requests on raw connections with the answers
// that they must get.
//
//	go test ./test/golden -update
//
// records the answers again. A change of the code that is not meant to be seen by
// clients must leave the recordings as they are; one that is meant to be seen shows
// in them. Error texts stand on lines of their own, so that a change of words
// touches those lines only.
//
// A script is made of lines:
//
//	# text           a comment
//	serve FLAGS      starts a server on an empty folder, the last one ends
//	on NAME          what follows is on connection NAME, opened when first used
//	> text           sends the text and CRLF
//	>> text          sends the text
//	frame HEX text   sends a masked WebSocket frame whose first byte is HEX
//	answer           reads an HTTP answer
//	head             reads an answer, and records its head only
//	shape            reads an answer, and records it without numbers
//	until TEXT       reads a stream up to the event that contains the text
//	frames N         reads N WebSocket frames
//	end              reads until the server closes the connection
//	later            nothing is read yet
//	drop             closes the connection
//	await PATH TEXT  asks for PATH until the answer contains the text
//	stop             has the server stop, as a signal does
//	< text           an answer: the text and CRLF
//	<. text          the text and LF
//	<< text          the text
//	<HEX text        a WebSocket frame
//	~ text           the words of the error above
//
// Where neither reading nor later follows what is sent, an answer, or a frame, is
// read. A request whose first line does not say which version of HTTP it is gets
// that, a Host and a Content-Length.
//
// Bytes that cannot be printed are written in hexadecimal: ⟨0d0a⟩. What differs
// from run to run is replaced: {epoch} and {lease N}, which may be sent, too, ~ for
// words and times, and digits of what is left of a TTL by #. A Content-Length is
// checked, and shown where what was replaced leaves it as it was.
package golden
