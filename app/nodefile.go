package app

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"keywatch/cluster"
	"keywatch/persist/disk"
)

// nodeName is the file in a data folder that says which server of which cluster it belongs to. A folder
// of a server that is alone has none.
const nodeName = "node"

// nodeHead is its first line; the digit is the format.
const nodeHead = "keywatch node 1"

// A nodeState is how far a server has come.
type nodeState string

const (
	blankNode   nodeState = "blank"   // it belongs to no cluster
	memberNode  nodeState = "member"  // it was accepted, or has begun a cluster
	removedNode nodeState = "removed" // it may not return
	// recoveringNode is one whose store becomes that of a new cluster: no server starts before that is done.
	recoveringNode nodeState = "recovering"
)

// A nodeFile is what the file says. It is durable before any other server is asked.
type nodeFile struct {
	ID    cluster.ServerID
	State nodeState
	// Cluster is the id of the cluster, which is that of the store; 0 if there is none.
	Cluster disk.StoreID
	// Name is what the server was called last.
	Name string
	// Founder says that the store began in this folder.
	Founder bool
	// Expect is with how many voters the cluster begins to take writes; 0 once it has.
	Expect int
	// Peers are the other servers when this one joined, ID@ADDRESS with spaces between: who they are is in no
	// checkpoint here until the first came.
	Peers string
	// Before is the id of the cluster of which this one was recovered; 0 for none.
	Before disk.StoreID
}

// newNode returns that of a server without history.
func newNode(name string) nodeFile {
	var b [8]byte
	for {
		rand.Read(b[:]) // never fails
		// Low ids are those of servers that are alone, and Raft has a use for the highest.
		if id := binary.BigEndian.Uint64(b[:]); id > 1<<16 && id < 1<<64-4 {
			return nodeFile{ID: cluster.ServerID(id), State: blankNode, Name: name}
		}
	}
}

// readNode reads the file in a folder; ok is false if there is none.
func readNode(dir string) (n nodeFile, ok bool, err error) {
	path := filepath.Join(dir, nodeName)
	b, err := disk.ReadFile(disk.OS, path, 64<<10)
	if errors.Is(err, fs.ErrNotExist) {
		return n, false, nil
	}
	if err != nil {
		return n, false, fmt.Errorf("read node file: %w", err)
	}
	n, err = parseNode(b)
	if err != nil {
		return n, false, &disk.DamageError{
			File: path, Offset: disk.Unknown, Reason: err.Error(),
			Remedy: "without it the server does not know its vote: move the data folder away and join with an empty one, and remove the old server",
		}
	}
	return n, true, nil
}

// write replaces the file, durably.
func (n nodeFile) write(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	if err := disk.WriteFile(disk.OS, filepath.Join(dir, nodeName), n.encode()); err != nil {
		return fmt.Errorf("write node file: %w", err)
	}
	return nil
}

// peersOf returns how a node file names the other servers of a roster.
func peersOf(r *cluster.Roster, self cluster.ServerID) string {
	var list []string
	for _, m := range r.Members {
		if m.ID != self {
			list = append(list, m.ID.String()+"@"+m.Peer)
		}
	}
	return strings.Join(list, " ")
}

// roster returns the servers that the file names, of which it knows no more than the addresses.
func (n nodeFile) roster() (r cluster.Roster) {
	for _, text := range strings.Fields(n.Peers) {
		id, addr, _ := strings.Cut(text, "@")
		if id, ok := cluster.ParseServerID(id); ok {
			r.Members = append(r.Members, cluster.Member{ID: id, Peer: addr})
		}
	}
	return r
}

func (n nodeFile) encode() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s\nid %v\nstate %s\nname %s\n", nodeHead, n.ID, n.State, n.Name)
	if n.Cluster != 0 {
		fmt.Fprintf(&b, "cluster %s\n", n.Cluster)
	}
	if n.Founder {
		fmt.Fprintln(&b, "founder yes")
	}
	if n.Expect > 0 {
		fmt.Fprintf(&b, "expect %d\n", n.Expect)
	}
	if n.Peers != "" {
		fmt.Fprintf(&b, "peers %s\n", n.Peers)
	}
	if n.Before != 0 {
		fmt.Fprintf(&b, "before %s\n", n.Before)
	}
	return disk.AppendSum(b.Bytes())
}

// parseNode reads what encode wrote.
func parseNode(b []byte) (n nodeFile, err error) {
	lines, whole := disk.SummedLines(b)
	switch {
	case !whole:
		return n, errors.New("it is not what was written")
	case lines[0] != nodeHead:
		return n, fmt.Errorf("it begins with %.40q, and this release knows %q", lines[0], nodeHead)
	}
	for _, line := range lines[1:] {
		name, value, _ := strings.Cut(line, " ")
		n.set(name, value)
	}
	if n.ID == 0 || !n.State.known() || n.State == memberNode && n.Cluster == 0 {
		return n, errors.New("a line is missing or malformed")
	}
	return n, nil
}

// set takes the value of a line. Names that this release does not know are left alone.
func (n *nodeFile) set(name, value string) {
	switch name {
	case "id":
		n.ID, _ = cluster.ParseServerID(value)
	case "state":
		n.State = nodeState(value)
	case "name":
		n.Name = value
	case "cluster":
		n.Cluster, _ = disk.ParseStoreID(value)
	case "founder":
		n.Founder = value == "yes"
	case "expect":
		n.Expect, _ = strconv.Atoi(value)
	case "peers":
		n.Peers = value
	case "before":
		n.Before, _ = disk.ParseStoreID(value)
	}
}

// known reports whether this release knows the state.
func (s nodeState) known() bool {
	return s == blankNode || s == memberNode || s == removedNode || s == recoveringNode
}
