package auth

import "keywatch/kv"

// BeginBarrier is kv.Store.BeginBarrier. It shows nothing.
func (v View) BeginBarrier(w kv.Waker) *kv.Barrier { return v.door.store.BeginBarrier(w) }

// GetAfter is kv.State.ReadNow, for a read whose barrier is done, where there is no authentication;
// otherwise it fails with kv.ErrWouldWait.
func (v View) GetAfter(key string) (*kv.Entry, kv.Position, error) {
	if !v.open() {
		return nil, kv.Position{}, kv.ErrWouldWait
	}
	return v.door.store.State().ReadNow(key)
}
