package disk

import (
	"fmt"

	"keywatch/kv"
)

// Unknown is the offset of damage whose place in the file is not known.
const Unknown = -1

// DamageError is returned when a file holds something that no crash can have
// left there: what was acknowledged once can no longer be read. Nothing has been
// changed in the folder when Open returns it.
type DamageError struct {
	File   string // path of the damaged file
	Offset int64  // byte in it where the damage begins, or Unknown
	Reason string // what was found
	Remedy string // what an operator can do
}

// Error names file, offset, reason and remedy.
func (e *DamageError) Error() string {
	where := ""
	if e.Offset != Unknown {
		where = fmt.Sprintf(" at byte %d", e.Offset)
	}
	return fmt.Sprintf("%s is damaged%s: %s; %s", e.File, where, e.Reason, e.Remedy)
}

// Is makes a DamageError match kv.ErrDamaged.
func (e *DamageError) Is(target error) bool { return target == kv.ErrDamaged }
