package peer

import (
	"errors"
	"fmt"
	"strings"
)

var (
	// ErrClosed is returned by a mesh that is closed.
	ErrClosed = errors.New("the mesh is closed")
	// ErrUnknown is returned for a node that was not added. Its connections are refused with it.
	ErrUnknown = errors.New("the node is not known here")
	// ErrUnreachable is returned for a stream to a node that is not connected, or has no address.
	ErrUnreachable = errors.New("the node is not reachable")
	// ErrInsecure is returned for an address or a connection that leaves the machine although
	// Options.Insecure is set.
	ErrInsecure = errors.New("without TLS only loopback addresses are allowed")

	// ErrVersion refuses a node with which no version of the protocol is shared.
	ErrVersion = errors.New("no common version of the peer protocol")
	// ErrCluster refuses a node of another cluster.
	ErrCluster = errors.New("the node belongs to another cluster")
	// ErrIdentity refuses a node that is not the one that was dialled, or not the one that its
	// certificate names.
	ErrIdentity = errors.New("the node is another one than expected")
	// ErrSelf refuses a node with the id of this one.
	ErrSelf = errors.New("the node has the id of this node")
	// ErrDuplicate refuses a node with the id of one that is connected and is another process. If
	// it is the same server, restarted, it is accepted once the old connection has ended.
	ErrDuplicate = errors.New("another process with the id of this node is connected")
	// ErrCertificate refuses a certificate that was not made from a known token, or that does not
	// name the host under which its node is known.
	ErrCertificate = errors.New("the certificate is not accepted")

	// ErrHello ends a connection whose hello is malformed or larger than 64 KiB.
	ErrHello = errors.New("malformed hello")
	// ErrHelloTimeout ends a connection whose hello did not come within Options.HelloTimeout.
	ErrHelloTimeout = errors.New("no hello in time")
	// ErrHandshakes ends the oldest of more handshakes than Options.Handshakes.
	ErrHandshakes = errors.New("too many handshakes at the same time")
	// ErrStreams refuses a stream beyond Options.Streams, or to a mesh that receives none.
	ErrStreams = errors.New("no more streams are accepted")
	// ErrFrame ends a connection with a frame that is damaged, malformed, or of another process.
	ErrFrame = errors.New("damaged frame")
	// ErrFrameSize ends a connection with a frame larger than Options.MaxFrame, or than 64 KiB where
	// it may not come in pieces.
	ErrFrameSize = errors.New("the frame is too large")
	// ErrSilent ends a connection on which nothing was heard for Options.Silence.
	ErrSilent = errors.New("nothing heard from the node")
	// ErrStuck ends a connection that accepted nothing for Options.Silence, a stream for
	// Options.StreamTimeout.
	ErrStuck = errors.New("the node does not read")

	// errRedundant ends the second of two connections between two nodes.
	errRedundant = errors.New("there is a connection already")
	// errReplaced ends the first of two.
	errReplaced = errors.New("replaced by another connection")
	// errRemoved ends the connections of a node that was removed.
	errRemoved = errors.New("the node was removed")
	// errEarly is the result of a stream whose receiver returned nil before its end.
	errEarly = errors.New("the receiver returned before the end of the stream")
)

// maxText bounds the text of a refusal, in bytes.
const maxText = 1 << 10

// A RefusedError is what the other side said when it refused a connection or ended a stream.
type RefusedError struct {
	Text string
}

func (e *RefusedError) Error() string { return "refused by the other side: " + e.Text }

// refusedText returns the error of a text that the other side sent.
func refusedText(text []byte) error {
	return &RefusedError{Text: strings.ToValidUTF8(string(text[:min(len(text), maxText)]), "?")}
}

// textOf returns what is sent to the other side about err, never empty.
func textOf(err error) []byte {
	text := err.Error()
	if text == "" {
		text = fmt.Sprintf("%T", err)
	}
	return []byte(text[:min(len(text), maxText)])
}
