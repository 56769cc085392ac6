// Package peer carries opaque frames between the servers of a cluster. It knows nothing of
// what they mean: an owner gives it bytes, and gets bytes.
//
// A [Mesh] is one server's end of it. For each other server that was added it keeps one
// connection, which either end may dial; of two the one that the lower id dialled stays. A frame
// has a class. [Control] is for what is small and urgent, [Append] for what may be large: it is
// sent in pieces of 64 KiB, and frames of Control go between them. A [Stream] is a connection of its own,
// for what is larger still.
//
// What is promised:
//
//   - Frames of one class arrive in the order in which they were sent, each once and whole.
//     Any of them may be lost: those that find their queue full, and those that are on their way
//     when a connection ends. Nothing is sent again.
//   - [Mesh.Send] never waits. What waits for a connection is bounded in bytes.
//   - Nothing is kept for a server that cannot be reached. So a frame that was sent before a
//     connection ended never arrives on the next one, and one that was meant for a process never
//     arrives at the next process of that server.
//   - A process is known by its incarnation, drawn at random when the mesh is opened. The
//     checksums of a connection (CRC-32C) begin with the sender's, and each continues the one before,
//     so a frame that is lost, repeated or of another process is a damaged one, and ends the connection.
//   - For one server callbacks run one at a time: Reachable, then Receive for each frame, then
//     Unreachable. Those of different servers run at the same time.
//   - Ended is called where it is certain that the process of a server has ended, which is some 60 ms after a
//     crash. A server that is cut off, or stopped, is silent, and nothing is certain.
//
// Both ends say hello before anything else: versions of the protocol, cluster, node,
// incarnation, and bytes of the owner's. Each end may refuse the other with a text, which both
// log. Connections use TLS 1.3 with certificates of both ends, from a [Token] that all servers
// share or from a [Certificate] of the operator's; without it they are limited to loopback.
//
// [Mesh.Ask] asks a node of which only an address is known, as one that is to join a cluster does: it has a
// connection of its own, and any node with the token or a certificate may ask.
//
// A connection on which nothing was heard for three seconds ends; pings are sent each second.
// It is dialled again after 50 ms to 2 s.
//
// What others can make a mesh hold is bounded, and each bound has an error of its name: the
// handshakes under way ([ErrHandshakes]), their time ([ErrHelloTimeout]), the size of a hello
// ([ErrHello]) and of a frame ([ErrFrameSize]), the streams of one server ([ErrStreams]), the questions that are being answered ([ErrAsked]).
package peer
