package web

import (
	"strconv"

	"keywatch/kv/kvjson"
	"keywatch/web/api"
)

// cas answers POST of a compare-and-swap.
func (r *request) cas() error {
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
	d, err := api.ParseCAS(r.body())
	if err != nil {
		return err
	}
	if err := d.Command(&c, r.key); err != nil {
		return err
	}
	result, err := r.do(&c, 1)
	if err != nil {
		return err
	}
	if e := result.Ops[0].Entry; !d.Remove {
		r.showPut(e, result.At.Epoch)
		return nil
	}
	r.out = append(r.out[:0], `{"deleted":`...)
	r.out = strconv.AppendBool(r.out, result.Ops[0].Entry != nil)
	r.out = kvjson.AppendNumber(append(r.out, ','), "rev", uint64(result.Rev))
	r.out = append(r.out, '}')
	r.json(200)
	return nil
}
