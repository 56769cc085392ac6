package cluster

import (
	"context"
	"errors"
	"io"

	"github.com/hashicorp/raft"
)

// errAlone is returned by every call to another server: there is none.
var errAlone = errors.New("this cluster has one server")

// localTransport is the transport of a cluster of one. It reaches no server; its
// use is to tell the server itself to stand for election at once.
//
// SetHeartbeatHandler does nothing on purpose, here and in any transport that
// replaces this one: heartbeats handled beside the main loop can break safety
// (hashicorp/raft issue 695).
type localTransport struct {
	addr raft.ServerAddress
	rpc  chan raft.RPC // to Raft's main loop; never closed
}

var _ raft.Transport = (*localTransport)(nil)

func newLocalTransport(addr raft.ServerAddress) *localTransport {
	return &localTransport{addr: addr, rpc: make(chan raft.RPC)}
}

// timeoutNow has the server start an election and waits until it has begun.
func (t *localTransport) timeoutNow(ctx context.Context) error {
	answer := make(chan raft.RPCResponse, 1)
	req := &raft.TimeoutNowRequest{RPCHeader: raft.RPCHeader{ProtocolVersion: raft.ProtocolVersionMax}}
	select {
	case t.rpc <- raft.RPC{Command: req, RespChan: answer}:
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case a := <-answer:
		return a.Error
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (t *localTransport) Consumer() <-chan raft.RPC { return t.rpc }

func (t *localTransport) LocalAddr() raft.ServerAddress { return t.addr }

func (t *localTransport) AppendEntriesPipeline(raft.ServerID, raft.ServerAddress) (raft.AppendPipeline, error) {
	return nil, errAlone
}

func (t *localTransport) AppendEntries(raft.ServerID, raft.ServerAddress, *raft.AppendEntriesRequest, *raft.AppendEntriesResponse) error {
	return errAlone
}

func (t *localTransport) RequestVote(raft.ServerID, raft.ServerAddress, *raft.RequestVoteRequest, *raft.RequestVoteResponse) error {
	return errAlone
}

func (t *localTransport) InstallSnapshot(raft.ServerID, raft.ServerAddress, *raft.InstallSnapshotRequest, *raft.InstallSnapshotResponse, io.Reader) error {
	return errAlone
}

func (t *localTransport) TimeoutNow(raft.ServerID, raft.ServerAddress, *raft.TimeoutNowRequest, *raft.TimeoutNowResponse) error {
	return errAlone
}

func (t *localTransport) EncodePeer(_ raft.ServerID, addr raft.ServerAddress) []byte {
	return []byte(addr)
}

func (t *localTransport) DecodePeer(b []byte) raft.ServerAddress { return raft.ServerAddress(b) }

func (t *localTransport) SetHeartbeatHandler(func(raft.RPC)) {}
