package web

import "keywatch/web/api"

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
	if err := api.ParseBatch(r.body(), r.s.opts.Store.Limits().Ops, &c); err != nil {
		return err
	}
	result, err := r.do(&c, max(1, len(c.Ops)+len(c.Else)))
	if err != nil {
		return err
	}
	r.out = api.AppendBatch(r.out[:0], &c, &result, r.s.opts.Store.Now)
	r.json(200)
	return nil
}
