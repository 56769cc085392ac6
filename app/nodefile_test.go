package app

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

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
