package auth

import "keywatch/kv"

// BeginBarrier is kv.Store.BeginBarrier. It shows nothing.
func (v View) BeginBarrier(w kv.Waker) *kv.Barrier { return v.door.store.BeginBarrier(w) }

// GetAfter is GetNow for a read whose barrier is done.
func (v View) GetAfter(key string) (*kv.Entry, kv.Position, error) {
	p, err := v.MayKey(Read, key)
	if err != nil {
		return nil, kv.Position{}, err
	}
	e, at, err := v.door.store.State().ReadNow(key)
	if err == nil && p.Still() != nil {
		return nil, kv.Position{}, kv.ErrWouldWait
	}
	return e, at, err
}

// DoAfter is DoNow for a command whose barrier is done.
func (v View) DoAfter(c *kv.Command, meta bool) (kv.Result, error) {
	return v.readNow(c, meta, v.door.store.DoAfter)
}
