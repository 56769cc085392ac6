package web

import (
	"strconv"

	"keywatch/kv"
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
	if err := parseBatch(r.body(), r.s.opts.Store.Limits().Ops, &c); err != nil {
		return err
	}
	result, err := r.do(&c, max(1, len(c.Ops)+len(c.Else)))
	if err != nil {
		return err
	}
	r.out = r.appendResult(r.out[:0], &c, &result)
	r.json(200)
	return nil
}

// appendResult appends the answer of a batch that ran.
func (r *request) appendResult(b []byte, c *kv.Command, result *kv.Result) []byte {
	ops := c.Ops
	if result.Outcome == kv.ElseRan {
		ops = c.Else
		b = append(b, `{"committed":false,"failed":`...)
		b = strconv.AppendInt(b, int64(result.Failed), 10)
	} else {
		b = append(b, `{"committed":true`...)
	}
	if result.Rev != 0 {
		b = appendNumber(append(b, ','), "rev", uint64(result.Rev))
	}
	b = append(b, `,"results":[`...)
	now := int64(0)
	for i := range result.Ops {
		if i > 0 {
			b = append(b, ',')
		}
		did := &result.Ops[i]
		if did.Entry != nil && did.Entry.Deadline() != 0 && now == 0 {
			now = r.s.opts.Store.Now()
		}
		b = appendOpResult(b, &ops[i], did, now)
	}
	return append(b, `]}`...)
}

func appendOpResult(b []byte, op *kv.Op, did *kv.OpResult, now int64) []byte {
	b = append(b, '{')
	switch op.Kind {
	case kv.OpPut:
		b = appendPutResult(b, did.Entry)
	case kv.OpDelete:
		b = append(b, `"deleted":`...)
		b = strconv.AppendBool(b, did.Entry != nil)
	case kv.OpGet:
		b = append(b, `"found":`...)
		b = strconv.AppendBool(b, did.Entry != nil)
		if did.Entry != nil {
			b = appendEntryFields(append(b, ','), op.Key, did.Entry, now, !did.NoValue)
		}
	}
	return append(b, '}')
}
