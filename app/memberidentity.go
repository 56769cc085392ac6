package app

import (
	"fmt"
	"os"
	"path/filepath"

	"keywatch/cluster"
	"keywatch/persist/disk"
)

// refuseAlone refuses to start a member of a cluster as if it were alone.
func refuseAlone(dir string, memoryOnly bool) error {
	if memoryOnly {
		return nil
	}
	n, ok, err := readNode(dir)
	if err != nil || !ok || n.State == blankNode {
		return err
	}
	switch n.State {
	case removedNode:
		return removedError(dir, n)
	case recoveringNode:
		return errRecovering(dir)
	}
	return fmt.Errorf("%s belongs to server %s (%v) of cluster %s, and --peer-listen is not given: alone it would take writes that the others do not have; start it with --peer-listen", dir, n.Name, n.ID, n.Cluster)
}

// removedError is why a server that was removed does not start.
func removedError(dir string, n nodeFile) error {
	return fmt.Errorf("%s belongs to server %s (%v), which was removed from cluster %s: to join again start with an empty data folder and --join",
		dir, n.Name, n.ID, n.Cluster)
}

// identify reads who this server is, or makes it up.
func (m *membership) identify() error {
	c := m.config
	n, ok, err := readNode(c.Data)
	if err != nil {
		return err
	}
	switch n.State {
	case removedNode:
		return removedError(c.Data, n)
	case recoveringNode:
		return errRecovering(c.Data)
	}
	if !ok || n.State == blankNode {
		if err := m.fresh(); err != nil {
			return err
		}
	}
	if !ok {
		n = newNode(c.Peers.Name)
	}
	n.Name = c.Peers.Name
	m.mu.me = n
	return n.write(c.Data)
}

// fresh refuses to join with a folder that has a store of its own.
func (m *membership) fresh() error {
	c := m.config
	if len(c.Peers.Join) == 0 {
		return nil
	}
	id, named, err := disk.ReadIdentity(disk.OS, c.Data)
	if err != nil {
		return err
	}
	for _, name := range []string{"checkpoint.db", "stable"} {
		if _, err := os.Stat(filepath.Join(c.Data, name)); err == nil {
			named = true
		}
	}
	if named {
		return fmt.Errorf("%s holds a store of its own (%s), and --join would replace it by that of the cluster: use an empty data folder, or start it without --join and have the others join it", c.Data, id.Store)
	}
	return nil
}

// me returns who this server is.
func (m *membership) me() nodeFile {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.mu.me
}

// become notes, durably, what this server is now. Those who ask who it is do not wait for the disk: Raft does.
func (m *membership) become(change func(*nodeFile)) error {
	m.noting.Lock()
	defer m.noting.Unlock()
	now := m.me()
	next := now
	if change(&next); next == now {
		return nil
	}
	if err := next.write(m.config.Data); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.mu.me = next
	return nil
}

// member returns this server as a roster has it.
func (m *membership) member() cluster.Member {
	p := &m.config.Peers
	return cluster.Member{ID: m.me().ID, Name: p.Name, Role: p.role(), Peer: p.PeerAdvertise, URL: p.Advertise}
}

// about returns what this server says about itself.
func (m *membership) about() cluster.About {
	p := &m.config.Peers
	return cluster.About{Name: p.Name, Peer: p.PeerAdvertise, URL: p.Advertise, Version: m.config.Version, Level: cluster.Newest(), Free: m.free.Load(), Election: p.ElectionTimeout.Milliseconds()}
}
