package peer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"time"
)

// Options configure a Mesh. ID, Receive, and one of Tokens, Certificate and Insecure are
// required; the zero value of each other field is its default.
type Options struct {
	// ID is this node's.
	ID ID
	// Cluster is the id of this node's cluster, at most MaxCluster bytes. Nodes of different
	// clusters refuse each other. Empty means that this node has none yet; whether it may connect
	// is then for Accept to say.
	Cluster string

	// Listener accepts connections of other nodes. It belongs to the mesh, which closes it, also if
	// Open fails. Without one a node only dials.
	Listener net.Listener
	// Dial connects to an address that was given to Add; by default over TCP.
	Dial func(ctx context.Context, addr string) (net.Conn, error)

	// Tokens are the secrets of the cluster, one or two: the first signs this node's certificate,
	// those made with either are accepted.
	Tokens []Token
	// Certificate is the operator's own.
	Certificate *Certificate
	// Insecure leaves TLS out. Connections are then limited to loopback addresses, and any process
	// of the machine can be a peer.
	Insecure bool

	// Info returns what is to be told to other nodes in a hello, at most MaxInfo bytes, which the
	// mesh does not change or keep. It is called for each connection.
	Info func() []byte
	// Accept is called with what another node says about itself, for each connection, by
	// whichever end it was dialled. An error refuses it: its text is sent to the other node,
	// and both log it. It may call Add for that node; one that was not added is refused anyway.
	// It is called on the connection's goroutine, for several connections at a time.
	Accept func(Hello) error
	// Answer is called for each question of Mesh.Ask, by a node that need not be known, on the
	// connection's goroutine, for several at a time. The text of an error is sent to the other
	// node. ctx ends after 30 s, and with Close. By default questions are refused.
	Answer func(ctx context.Context, from Hello, question []byte) ([]byte, error)
	// Receive is called for each frame, on the goroutine of its connection: while it runs
	// nothing else of that node is read. The body belongs to the callee. It may call Send, Add
	// and Remove, but not Close.
	Receive func(from ID, class Class, body []byte)
	// ReceiveStream is called on a goroutine of its own for each stream that another node
	// opens. r returns io.EOF once the sender has closed a stream that is whole, else an error.
	// What it returns is what the sender's Close returns: nil for success. head belongs
	// to the callee; r is valid until it returns. ctx ends when a read has failed, and with Remove
	// and Close, which waits for the callee. By default streams are refused.
	ReceiveStream func(ctx context.Context, from ID, head []byte, r io.Reader) error
	// Reachable is called when a node is connected, before the first Receive, and Unreachable
	// after the last one, when what was sent and has not arrived is lost. Both are called on
	// the connection's goroutine, in turns. They may call what Receive may.
	Reachable, Unreachable func(ID)
	// Ended is called when the process of a node that was connected is known to have ended: it closed the
	// connection and its address refuses new ones, or another process answers there with its id. It is
	// called once for each process at most, not for one that is cut off or stopped, after Unreachable, and
	// before Reachable for the next process if that answers. It may call what Receive may.
	Ended func(ID)

	// DialTimeout bounds the time until a connection is established; 1 s.
	DialTimeout time.Duration
	// HelloTimeout bounds the time from then until hellos were exchanged; 3 s.
	HelloTimeout time.Duration
	// Silence is how long nothing may be heard on a connection before it ends, and how long the
	// other end may take to accept what is written at once, 64 to 192 KiB; 3 s. A ping is sent
	// three times in it.
	Silence time.Duration
	// StreamTimeout is how long a stream may wait for the other end to read; 30 s.
	StreamTimeout time.Duration

	// MaxFrame bounds the body of a frame of class Append, in bytes, sent or received; 16 MiB.
	MaxFrame int
	// ControlQueue and AppendQueue bound what waits for one connection in each class, in bytes;
	// 1 MiB and 16 MiB. Each frame counts 64 bytes more than its body.
	ControlQueue, AppendQueue int
	// Handshakes bounds the connections that have not said hello yet; 64. With more the
	// oldest ends.
	Handshakes int
	// Streams bounds the streams that one other node may have open to this one; 2.
	Streams int
	// StreamRate bounds what all streams of this node send together, in bytes a second before they
	// are compressed; 64 MiB/s.
	// Negative means no bound.
	StreamRate int64

	// Logger receives what happens to connections; nil discards it.
	Logger *slog.Logger
}

func orDefault[T int | int64 | time.Duration](field *T, value T) {
	if *field == 0 {
		*field = value
	}
}

func (o Options) withDefaults() Options {
	orDefault(&o.DialTimeout, time.Second)
	orDefault(&o.HelloTimeout, 3*time.Second)
	orDefault(&o.Silence, 3*time.Second)
	orDefault(&o.StreamTimeout, 30*time.Second)
	orDefault(&o.MaxFrame, 16<<20)
	orDefault(&o.ControlQueue, 1<<20)
	orDefault(&o.AppendQueue, 16<<20)
	orDefault(&o.Handshakes, 64)
	orDefault(&o.Streams, 2)
	orDefault(&o.StreamRate, 64<<20)
	if o.Dial == nil {
		o.Dial = func(ctx context.Context, addr string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "tcp", addr)
		}
	}
	if o.Info == nil {
		o.Info = func() []byte { return nil }
	}
	if o.Accept == nil {
		o.Accept = func(Hello) error { return nil }
	}
	if o.Reachable == nil {
		o.Reachable = func(ID) {}
	}
	if o.Unreachable == nil {
		o.Unreachable = func(ID) {}
	}
	if o.Ended == nil {
		o.Ended = func(ID) {}
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

func (o Options) validate() error {
	ways := 0
	for _, set := range []bool{len(o.Tokens) > 0, o.Certificate != nil, o.Insecure} {
		if set {
			ways++
		}
	}
	for _, n := range []int64{int64(o.DialTimeout), int64(o.HelloTimeout), int64(o.Silence), int64(o.StreamTimeout),
		int64(o.MaxFrame), int64(o.ControlQueue), int64(o.AppendQueue), int64(o.Handshakes), int64(o.Streams)} {
		if n < 0 {
			return errors.New("a bound is negative")
		}
	}
	switch {
	case o.ID == 0:
		return errors.New("ID must not be 0")
	case o.Receive == nil:
		return errors.New("the callback Receive is required")
	case ways != 1:
		return errors.New("one of Tokens, Certificate and Insecure is required")
	case len(o.Tokens) > 2:
		return fmt.Errorf("%d tokens, at most 2 are allowed", len(o.Tokens))
	case len(o.Cluster) > MaxCluster:
		return fmt.Errorf("a cluster id of %d bytes, at most %d are allowed", len(o.Cluster), MaxCluster)
	case o.MaxFrame > 1<<30:
		return fmt.Errorf("MaxFrame is %d, at most 1 GiB is allowed", o.MaxFrame)
	case o.Insecure && o.Listener != nil:
		return loopback(o.Listener.Addr())
	}
	return nil
}
