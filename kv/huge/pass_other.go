//go:build !linux

package huge

import "time"

// Pass fails with ErrNotSupported.
func (k *Keeper) Pass(time.Duration) (more bool, err error) { return false, ErrNotSupported }
