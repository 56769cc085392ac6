package app

import (
	"context"

	"keywatch/persist"
)

// Restore makes a new data folder dir, which must not exist or be empty, from a
// backup file. The new store begins a new epoch, so that no ETag, token or
// position of the old one means anything to it.
func Restore(_ context.Context, file, dir string) error {
	return persist.Restore(file, dir)
}
