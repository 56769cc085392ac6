package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"keywatch/persist"
	"keywatch/persist/disk"
	"keywatch/persist/object"
)

// segments lists the segments that values are in, and reads each if that is asked for.
func (x *Inspection) segments(ctx context.Context, path string, opts InspectOptions) error {
	x.refer(nil)
	if !opts.Verify || len(x.ObjectSegments) == 0 {
		return nil
	}
	url := cmp.Or(opts.ObjectStore, x.Objects)
	if folder, err := filepath.Abs(filepath.Join(path, objectFolder)); url == "" && err == nil {
		if _, err := os.Stat(folder); err == nil {
			url = "dir://" + folder
		}
	}
	if url == "" {
		return errNoObjectStore
	}
	store, err := object.Open(url, object.Options{})
	if err != nil {
		return err
	}
	there := 0
	for i := range x.ObjectSegments {
		one := &x.ObjectSegments[i]
		id, _ := object.ParseName(one.Name)
		found, err := object.ReadSegment(ctx, store, id)
		if !errors.Is(err, object.ErrNotFound) {
			there++
		}
		switch {
		case err == nil:
			one.Size, one.Records, one.Verified = found.Size, len(found.Records), true
		case errors.Is(err, object.ErrDamaged), errors.Is(err, object.ErrNewer):
			x.damage(url+"/"+one.Name, disk.Unknown, "%v", err)
		default:
			return err
		}
	}
	if there == 0 {
		return fmt.Errorf("%s: %w", url, object.ErrElsewhere)
	}
	return nil
}

// refer lists the segments that the checkpoint refers to, beside those that were found.
func (x *Inspection) refer(found map[object.ID]ObjectSegment) {
	if found == nil {
		found = make(map[object.ID]ObjectSegment)
	}
	for id, live := range x.Segments {
		one := found[object.IDOf(id)]
		one.Name, one.Values, one.Bytes = object.IDOf(id).Name(), live.Values, live.Bytes
		found[object.IDOf(id)] = one
	}
	for _, one := range found {
		x.ObjectSegments = append(x.ObjectSegments, one)
	}
	slices.SortFunc(x.ObjectSegments, func(a, b ObjectSegment) int { return cmp.Compare(a.Name, b.Name) })
}

// fullBackup inspects a full backup; full is false if path is none. All of its segments are read and
// checked, and must be those that its checkpoint refers to.
func (x *Inspection) fullBackup(path string, size int64, opts InspectOptions) (full bool, err error) {
	f, err := os.Open(path)
	if err != nil {
		return false, err
	}
	defer f.Close()
	x.Inspection = &persist.Inspection{Path: path}
	b, err := object.OpenFull(f, size)
	if err != nil {
		return true, x.noteBackup(path, err)
	}
	if b == nil {
		return false, nil
	}
	x.Full, opts.Objects = true, true
	if err := x.image(path, f, b, opts); err != nil {
		return true, err
	}
	found := make(map[object.ID]ObjectSegment)
	err = b.Segments(func(id object.ID, bytes []byte) error {
		s, err := object.Decode(id, bytes)
		if err == nil {
			found[id] = ObjectSegment{Name: id.Name(), Size: s.Size, Records: len(s.Records), Verified: true}
		}
		return err
	})
	x.refer(found)
	if err != nil {
		return true, x.noteBackup(path, err)
	}
	for _, one := range x.ObjectSegments {
		if !one.Verified {
			x.damage(path, disk.Unknown, "segment %s is not in the backup, and %d keys have their values there", one.Name, one.Values)
		}
	}
	return true, nil
}

// noteBackup adds err to the damage if it says that the backup is not as it was written; else it
// returns err.
func (x *Inspection) noteBackup(path string, err error) error {
	if b, ok := errors.AsType[*object.BackupError](err); ok {
		x.damage(path, b.Offset, "%s", b.Reason)
		return nil
	}
	return err
}

// image inspects the checkpoint in a full backup, for which it must be a file of its own.
func (x *Inspection) image(path string, f *os.File, b *object.FullBackup, opts InspectOptions) (err error) {
	dir, err := os.MkdirTemp("", "keywatch-inspect-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	image := filepath.Join(dir, "checkpoint.db")
	out, err := os.OpenFile(image, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, io.NewSectionReader(f, b.Image, b.Size))
	if err := errors.Join(err, out.Close()); err != nil {
		return err
	}
	if x.Inspection, err = persist.Inspect(image, opts.ofFolder()); err != nil {
		return err
	}
	x.Path = path
	if x.Checkpoint != nil {
		x.Checkpoint.File = path
	}
	for i := range x.Damage {
		d := &x.Damage[i]
		if d.File = path; d.Offset >= 0 {
			d.Offset += b.Image
		}
	}
	return nil
}
