package app

import (
	"context"
	"errors"
	"fmt"
	"io"

	"keywatch/kv"
	"keywatch/persist"
	"keywatch/persist/object"
)

// FullBackup is Backup with all values that lie in object storage, so that it is
// restored without that. It fails with an error that matches kv.ErrDamaged or
// kv.ErrTierUnavailable if one cannot be read. Deleting segments waits for it.
func (e *Engine) FullBackup(ctx context.Context, w io.Writer) (int64, error) {
	if e.objects == nil {
		return e.Backup(ctx, w)
	}
	if err := e.objects.mover().Check(ctx); err != nil {
		return 0, objectProblem(err)
	}
	var image *persist.Image
	ids, release, err := e.objects.mover().Pin(ctx, func() (err error) {
		if err = e.Checkpoint(ctx); err == nil {
			image, err = e.disk.OpenBackup()
		}
		return err
	})
	if err != nil {
		return 0, err
	}
	defer release()
	defer image.Close()
	task := e.background.board.Begin("backup", "bytes")
	defer task.End()
	n, err := object.WriteFull(ctx, countedWriter{w, task}, image, image.Size(), e.objects.store, ids)
	return n, objectProblem(err)
}

// objectProblem makes an error of object storage one of the tier.
func objectProblem(err error) error {
	switch {
	case errors.Is(err, object.ErrDamaged):
		return fmt.Errorf("%w: %w", kv.ErrDamaged, err)
	case errors.Is(err, object.ErrUnavailable):
		return fmt.Errorf("%w: %w", kv.ErrTierUnavailable, err)
	}
	return err
}
