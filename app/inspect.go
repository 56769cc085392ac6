package app

import (
	"context"
	"errors"
	"fmt"
	"os"

	"keywatch/persist"
)

// An Inspection is what is found in a data folder, a checkpoint, a backup or a segment of a log.
type Inspection struct {
	*persist.Inspection
	// Full says that it is a backup with the values of object storage in it.
	Full bool `json:"full_backup,omitempty"`
	// ObjectSegments are the segments of object storage that values are in, and those in a full
	// backup.
	ObjectSegments []ObjectSegment `json:"object_segments,omitempty"`
}

// An ObjectSegment is a segment of object storage.
type ObjectSegment struct {
	Name string `json:"name"`
	// Values and Bytes count the values that the checkpoint refers to.
	Values int64 `json:"values"`
	Bytes  int64 `json:"value_bytes"`
	// Size is the length of the segment and Records how many values it has, those that nothing refers
	// to included; both are 0 if it was not read.
	Size    int64 `json:"size,omitempty"`
	Records int   `json:"records,omitempty"`
	// Verified says that every byte of it was read and checked.
	Verified bool `json:"verified"`
}

// InspectOptions say how much an inspection reads.
type InspectOptions struct {
	// Keys lists the keys that begin with Prefix.
	Keys   bool
	Prefix string
	// Leases lists the leases, Objects the segments of object storage that values are in, Log each
	// group of the log.
	Leases, Objects, Log bool
	// Verify reads every record and checks it, with Objects also every segment.
	Verify bool
	// ObjectStore is the URL of the object store to read segments from; by default the one that the
	// folder or the checkpoint names.
	ObjectStore string
}

func (o InspectOptions) ofFolder() persist.InspectOptions {
	return persist.InspectOptions{Keys: o.Keys, Prefix: o.Prefix, Leases: o.Leases, Objects: o.Objects, Log: o.Log, Verify: o.Verify}
}

// Inspect reads what is at path and changes nothing. No server may run on a folder. The checkpoint
// in a full backup is copied to a temporary file for as long as it is read. Damage is part of what
// Inspect returns; it fails if path is nothing that keywatch has written, if segments are to be read
// from an object store that does not answer, or as persist.Inspect does.
func Inspect(ctx context.Context, path string, opts InspectOptions) (*Inspection, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	x := new(Inspection)
	if info.Mode().IsRegular() {
		if full, err := x.fullBackup(path, info.Size(), opts); full || err != nil {
			return x, err
		}
	}
	if x.Inspection, err = persist.Inspect(path, opts.ofFolder()); err != nil {
		return nil, err
	}
	if opts.Objects && x.Checkpoint != nil {
		err = x.segments(ctx, path, opts)
	}
	return x, err
}

// errNoObjectStore is returned where segments are to be read and it is not known from where.
var errNoObjectStore = errors.New("values are in object storage, and the checkpoint does not name it: set --object-store")

func (x *Inspection) damage(file string, offset int64, format string, args ...any) {
	x.Damage = append(x.Damage, persist.InspectFailure{File: file, Offset: offset, Reason: fmt.Sprintf(format, args...)})
}
