package peer_test

import (
	"context"
	"fmt"
	"io"
	"net"

	"keywatch/cluster/peer"
)

// Two servers that share a token: one sends a frame, then a stream.
func Example() {
	token := peer.NewToken() // the operator's: token.Text() is what its file holds
	open := func(id peer.ID, opts peer.Options) (*peer.Mesh, error) {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		opts.ID, opts.Cluster, opts.Listener, opts.Tokens = id, "example", listener, []peer.Token{token}
		return peer.Open(opts)
	}
	connected, received := make(chan struct{}, 1), make(chan string)
	b, err := open(2, peer.Options{
		Receive: func(from peer.ID, class peer.Class, body []byte) {
			received <- fmt.Sprintf("%s from node %d: %s", class, from, body)
		},
		ReceiveStream: func(_ context.Context, from peer.ID, head []byte, r io.Reader) error {
			n, err := io.Copy(io.Discard, r)
			fmt.Printf("%s from node %d: %d bytes\n", head, from, n)
			return err // what Close returns to the sender
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer b.Close()
	a, err := open(1, peer.Options{
		Receive:   func(peer.ID, peer.Class, []byte) {},
		Reachable: func(peer.ID) { connected <- struct{}{} },
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer a.Close()
	if err := b.Add(1, ""); err != nil { // node 1 may connect
		fmt.Println(err)
	}
	if err := a.Add(2, b.Addr().String()); err != nil {
		fmt.Println(err)
	}
	<-connected
	a.Send(2, peer.Control, []byte("beat"))
	fmt.Println(<-received)

	stream, err := a.Stream(context.Background(), 2, []byte("snapshot 7"))
	if err != nil {
		fmt.Println(err)
		return
	}
	_, _ = stream.Write(make([]byte, 1<<20)) // Close returns its error
	fmt.Println(stream.Close())
	// Output:
	// control from node 1: beat
	// snapshot 7 from node 1: 1048576 bytes
	// <nil>
}
