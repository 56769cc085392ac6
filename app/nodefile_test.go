package app

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"keywatch/cluster"
	"keywatch/persist/disk"
)

// If this failed, a server would forget who it is, and be given a vote twice.
func TestNodeFile(t *testing.T) {
	dir := t.TempDir()
	if _, ok, err := readNode(dir); ok || err != nil {
		t.Errorf("an empty folder: %v, %v", ok, err)
	}
	want := newNode("n1")
	if other := newNode("n1"); other.ID == want.ID {
		t.Error("two servers have one id")
	}
	for range 2 {
		if err := want.write(dir); err != nil {
			t.Fatal(err)
		}
		if got, ok, err := readNode(dir); got != want || !ok || err != nil {
			t.Errorf("got %+v, %v, %v, want %+v", got, ok, err, want)
		}
		want.State, want.Cluster, want.Founder, want.Expect = memberNode, 77, true, 3
		r := cluster.Roster{Members: []cluster.Member{{ID: want.ID, Peer: "n1:1"}, {ID: 9, Peer: "n2:1"}, {ID: 8, Peer: "[::1]:1"}}}
		want.Peers = peersOf(&r, want.ID)
		if got := want.roster().Members; len(got) != 2 || got[0] != r.Members[1] || got[1] != r.Members[2] {
			t.Errorf("the others: got %+v", got)
		}
	}
	path := filepath.Join(dir, nodeName)
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b[len(nodeHead)+6] ^= 1 // a digit of the id
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	var damaged *disk.DamageError
	if _, _, err := readNode(dir); !errors.As(err, &damaged) {
		t.Errorf("another id: got %v, want a *disk.DamageError", err)
	}
}
