package auth_test

import (
	"errors"
	"testing"

	"keywatch/auth"
	"keywatch/kv"
	"keywatch/kv/kvtest"
	"keywatch/watch"
)

// If this failed, a server that is cut off would show to a caller what another server has revoked, on a
// connection that is open already.
func TestBehindShowsNothing(t *testing.T) {
	r := newRig(t)
	ctx := t.Context()
	put := &kv.Command{Ops: []kv.Op{kvtest.Put("a", "v")}}
	all := map[string]func(v auth.View) error{
		"local get": func(v auth.View) error { _, _, err := v.Get(ctx, "a", true, nil); return err },
		"get now":   func(v auth.View) error { _, _, err := v.GetNow("a"); return err },
		"list":      func(v auth.View) error { return snapshot(v.Snapshot(ctx, "", true)) },
		"put":       func(v auth.View) error { return do(v, put) },
		"start":     func(v auth.View) error { _, err := v.StartNow(put); return err },
		"watch":     func(v auth.View) error { return watched(v, watch.Request{Keys: []string{"a"}}) },
		"backup":    func(v auth.View) error { _, err := v.May(auth.Backup); return err },
	}
	for _, behind := range []bool{true, false} {
		r.table.SetBehind(behind)
		for name, try := range all {
			if err := try(r.admin); errors.Is(err, kv.ErrNoLeader) != behind {
				t.Errorf("%s, behind is %v: got %v", name, behind, err)
			}
		}
		for _, verb := range []auth.Verb{auth.Metrics, auth.Cluster} {
			if _, err := r.admin.May(verb); err != nil {
				t.Errorf("%v, behind is %v: got %v, want that who operates can look", verb, behind, err)
			}
		}
	}
}
