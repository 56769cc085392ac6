package app

import (
	"context"
	"io"
	"log/slog"
	"net"
	"sync/atomic"
	"time"

	"go.etcd.io/raft/v3/raftpb"

	"keywatch/cluster"
	"keywatch/cluster/peer"
	"keywatch/kv"
)

// peers make an engine one of several servers of a store that begin together, without a way in or
// out. They are for tests: no flag sets them.
type peers struct {
	id       uint64
	listener net.Listener
	addrs    map[uint64]string // of all, by id
	token    peer.Token
	tick     time.Duration
}

// A team is an engine's connections to the other servers.
type team struct {
	*peers
	mesh *peer.Mesh
	node atomic.Pointer[cluster.Node] // nil until it is open
}

// classes are those of the connections.
var classes = [...]peer.Class{cluster.Control: peer.Control, cluster.Bulk: peer.Append}

// join has the node that opts describe be one of several.
func (p *peers) join(opts *cluster.Options) (*team, error) {
	t := &team{peers: p}
	opts.ID, opts.Tick = p.id, p.tick
	opts.Members = new(raftpb.ConfState)
	for id := range p.addrs {
		opts.Members.Voters = append(opts.Members.Voters, id)
	}
	opts.Send = func(to uint64, class cluster.Class, frame []byte) { t.mesh.Send(peer.ID(to), classes[class], frame) }
	opts.Stream = func(ctx context.Context, to uint64, head []byte) (cluster.Stream, error) {
		st, err := t.mesh.Stream(ctx, peer.ID(to), head)
		if err != nil {
			return nil, err
		}
		return st, nil
	}
	var err error
	t.mesh, err = peer.Open(t.meshOptions(opts.Logger))
	if err != nil {
		return nil, err
	}
	for id, addr := range p.addrs {
		if id != p.id {
			if err := t.mesh.Add(peer.ID(id), addr); err != nil {
				return nil, err
			}
		}
	}
	return t, nil
}

// meshOptions returns those of the mesh that carries what nodes say to each other.
func (t *team) meshOptions(logger *slog.Logger) peer.Options {
	return peer.Options{
		ID: peer.ID(t.id), Cluster: "team", Listener: t.listener, Tokens: []peer.Token{t.token}, Logger: logger,
		Receive: func(from peer.ID, _ peer.Class, body []byte) {
			if n := t.node.Load(); n != nil {
				n.Receive(uint64(from), body)
			}
		},
		ReceiveStream: func(ctx context.Context, from peer.ID, head []byte, r io.Reader) error {
			if n := t.node.Load(); n != nil {
				return n.ReceiveSnapshot(ctx, uint64(from), head, r)
			}
			return kv.ErrStarting
		},
		Unreachable: func(id peer.ID) {
			if n := t.node.Load(); n != nil {
				n.Unreachable(uint64(id))
			}
		},
		Ended: func(id peer.ID) {
			if n := t.node.Load(); n != nil {
				n.Ended(uint64(id))
			}
		},
	}
}

// await waits until the node takes commands.
func (t *team) await(ctx context.Context, n *cluster.Node) error {
	t.node.Store(n)
	poll := time.NewTicker(t.tick)
	defer poll.Stop()
	for {
		select {
		case <-poll.C:
			if err := n.Ready(); err == nil {
				return n.ReadBarrier(ctx)
			}
		case <-ctx.Done():
			return kv.ErrNoLeader
		}
	}
}
