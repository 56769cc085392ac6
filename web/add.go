package web

import (
	"keywatch/kv"
	"keywatch/web/api"
)

// add answers POST of a number that is added to a key.
func (r *request) add() (err error) {
	op := kv.Op{Kind: kv.OpAdd, By: 1}
	text, ok, err := r.params.take("by")
	if err != nil {
		return err
	}
	if ok {
		if op.By, err = api.ParseBy(text); err != nil {
			return err
		}
	}
	result, err := r.change(op)
	if err != nil {
		return err
	}
	e := result.Ops[0].Entry
	r.etag(result.At.Epoch, e.Mod)
	r.out = append(api.AppendAddResult(append(r.out[:0], '{'), &result.Ops[0]), '}')
	if e.Version == 1 {
		r.json(201)
		return nil
	}
	r.json(200)
	return nil
}

// touch answers POST of another TTL for a key.
func (r *request) touch() error {
	op := kv.Op{Kind: kv.OpTouch}
	text, ok, err := r.params.take("ttl")
	if err != nil {
		return err
	}
	if !ok {
		return api.Refuse(api.CodeBadParameter, "parameter ttl is required: a duration, or none")
	}
	if op.TTL, err = api.ParseTouch(text); err != nil {
		return err
	}
	result, err := r.change(op)
	if err != nil {
		return err
	}
	if result.Ops[0].Entry == nil {
		return api.NoKey(r.key)
	}
	r.showPut(result.Ops[0].Entry, result.At.Epoch)
	return nil
}

// change runs one operation on the key of the request, whose body must be empty.
func (r *request) change(op kv.Op) (kv.Result, error) {
	if err := r.params.done(); err != nil {
		return kv.Result{}, err
	}
	if err := r.emptyBody(); err != nil {
		return kv.Result{}, err
	}
	c, err := r.write()
	if err != nil {
		return kv.Result{}, err
	}
	if c.Checks, err = r.checks(nil); err != nil {
		return kv.Result{}, err
	}
	op.Key = r.key
	c.Ops = []kv.Op{op}
	return r.do(&c, 1)
}
