package web

import (
	"keywatch/kv"
	"keywatch/web/api"
)

// batch answers POST of a batch.
func (r *request) batch() error {
	if err := r.unconditional(fieldIfMatch, fieldIfNoneMatch); err != nil {
		return err
	}
	if err := r.params.done(); err != nil {
		return err
	}
	c, err := r.write()
	if err != nil {
		return err
	}
	if err := api.ParseBatch(r.body(), r.s.door.Limits().Ops, &c); err != nil {
		return err
	}
	// Before it takes its place: what has changed something must be told.
	if size, cold := r.s.door.ReadSize(&c); size <= int64(r.s.door.Limits().Command) {
		if err := r.readsRoom(int(size), int(cold)); err != nil {
			return err
		}
	}
	return r.doThen(&c, max(1, len(c.Ops)+len(c.Else)), (*request).ran)
}

// ran answers for a batch.
func (r *request) ran(c *kv.Command, result *kv.Result) (err error) {
	if r.out, err = api.AppendBatch(r.out[:0], c, result, r.s.door.Now, r.room); err != nil {
		return err
	}
	r.json(200)
	return nil
}
