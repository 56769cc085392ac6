package kvtest

import (
	"context"

	"keywatch/kv"
)

// Wrap returns store as the suite sees it.
func Wrap(store *kv.Store) Store { return wrapped{store} }

type wrapped struct{ *kv.Store }

func (w wrapped) Do(ctx context.Context, c *kv.Command) (Answer, error) {
	r, err := w.Store.Do(ctx, c)
	if err != nil {
		return Answer{}, err
	}
	a := Answer{Outcome: r.Outcome, Rev: r.Rev, Failed: r.Failed, Deleted: r.Deleted, Replayed: r.Replayed}
	if r.Current != nil {
		a.Current = found(failedKey(c, r.Outcome, r.Failed), r.Current)
	}
	ops := branch(c, r.Outcome)
	for i, did := range r.Ops {
		a.Ops = append(a.Ops, opAnswer(ops[i], did.Entry))
	}
	return a, nil
}

func opAnswer(op kv.Op, e *kv.Entry) OpAnswer {
	switch {
	case e == nil:
		return OpAnswer{}
	case op.Kind == kv.OpPut || op.Kind == kv.OpTouch:
		return OpAnswer{Rev: e.Mod, Version: e.Version, Created: e.Version == 1}
	case op.Kind == kv.OpAdd:
		return OpAnswer{Rev: e.Mod, Version: e.Version, Created: e.Version == 1, Sum: e.Value()}
	case op.Kind == kv.OpDelete:
		return OpAnswer{Deleted: true}
	}
	return OpAnswer{Found: found(op.Key, e)}
}

func found(key string, e *kv.Entry) *Found {
	if e == nil {
		return nil
	}
	return &Found{Key: key, Value: e.Value(), Rev: e.Mod, Create: e.Create, Version: e.Version, TTL: e.Deadline() != 0, Lease: e.Lease()}
}

func (w wrapped) Get(ctx context.Context, key string) (*Found, error) {
	e, _, err := w.Store.Get(ctx, key)
	return found(key, e), err
}

func (w wrapped) List(ctx context.Context, prefix string) ([]Found, error) {
	n, err := w.Snapshot(ctx)
	if err != nil {
		return nil, err
	}
	defer n.Close()
	var out []Found
	for key, e := range n.Scan(prefix, "") {
		out = append(out, *found(key, e))
	}
	return out, n.Err()
}
