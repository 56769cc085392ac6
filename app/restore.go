package app

import (
	"context"

	"github.com/hashicorp/raft"

	"keywatch/cluster"
	"keywatch/persist"
)

// Restore makes a new data folder dir, which must not exist or be empty, from a
// backup file. The new store begins a new epoch, so that no ETag, token or
// position of the old one means anything to it.
func Restore(_ context.Context, file, dir string) error {
	self := raft.Server{ID: cluster.DefaultID, Address: cluster.DefaultID}
	_, err := persist.Restore(file, dir, persist.RestoreOptions{Server: self})
	return err
}
