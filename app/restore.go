package app

import "context"

// Restore is RestoreTo with the default options.
func Restore(ctx context.Context, file, dir string) error {
	return RestoreTo(ctx, file, dir, RestoreOptions{})
}
