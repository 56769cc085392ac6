package disk

import (
	"fmt"

	"keywatch/kv"
)

// DamageError is returned when a file holds something that no crash can have
// left there: what was acknowledged once can no longer be read. Nothing has been
// changed in the folder when Open returns it.
type DamageError struct {
	File   string // path of the damaged file
	Offset int64  // byte in it where the damage begins
	Reason string // what was found
	Remedy string // what an operator can do
}

// Error names file, offset, reason and remedy.
func (e *DamageError) Error() string {
	return fmt.Sprintf("%s is damaged at byte %d: %s; %s", e.File, e.Offset, e.Reason, e.Remedy)
}

// Is makes a DamageError match kv.ErrDamaged.
func (e *DamageError) Is(target error) bool { return target == kv.ErrDamaged }

// Remedy is the advice for every damage of the log and the stable store: neither
// can be repaired without giving up acknowledged writes.
const Remedy = "restore the data folder from a backup or, in a cluster, remove this member, " +
	"empty its folder and let it join again"
