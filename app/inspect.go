package app

import (
	"keywatch/persist"
)

// An Inspection is what is found in a data folder, a checkpoint, a backup or a segment of a log.
type Inspection = persist.Inspection

// InspectOptions say how much an inspection reads.
type InspectOptions = persist.InspectOptions

// Inspect reads what is at path and changes nothing. No server may run on a folder. Damage is
// part of what it returns; it fails if path is nothing that keywatch has written, or as
// persist.Inspect does.
func Inspect(path string, opts InspectOptions) (*Inspection, error) {
	return persist.Inspect(path, opts)
}
