package app

import (
	"context"
	"fmt"

	"keywatch/kv"
)

// tiers reads the values that are not in memory, each from where it is.
type tiers struct{ engine *Engine }

var _ kv.ColdReader = tiers{}

// ReadCold implements kv.ColdReader. What is read stays in memory, mostly, so
// that the evictor is to look.
func (t tiers) ReadCold(ctx context.Context, ref kv.ColdRef) (string, error) {
	defer t.engine.memory.wakeEvictor()
	if ref.Tier == kv.TierObject && t.engine.objects != nil {
		return t.engine.objects.reader.ReadCold(ctx, ref)
	}
	if ref.Tier != kv.TierDisk || t.engine.disk == nil {
		return "", fmt.Errorf("%w: there is no %s", kv.ErrTierUnavailable, ref.Tier)
	}
	return t.engine.disk.ReadCold(ctx, ref)
}
