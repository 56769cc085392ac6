package api

import (
	"strconv"

	"keywatch/kv"
	"keywatch/kv/kvjson"
)

// AppendEntry appends the object of a version, with its value if value is set.
// now is the log time, in milliseconds, that its TTL counts from.
func AppendEntry(b []byte, key string, e *kv.Entry, now int64, value bool) []byte {
	return append(AppendEntryFields(append(b, '{'), key, e, now, value), '}')
}

// AppendEntryFields appends the members of the object of a version.
func AppendEntryFields(b []byte, key string, e *kv.Entry, now int64, value bool) []byte {
	b = kvjson.AppendEntry(b, key, e, now, value)
	if id := e.Lease(); id != (kv.LeaseID{}) {
		b = id.AppendTo(append(b, `,"lease":"`...))
		b = append(b, '"')
	}
	b = append(b, `,"tier":"`...)
	return append(append(b, e.Tier().String()...), '"')
}

// AppendPutResult appends the members of a put's result.
func AppendPutResult(b []byte, e *kv.Entry) []byte {
	b = kvjson.AppendNumber(b, "rev", uint64(e.Mod))
	b = kvjson.AppendNumber(append(b, ','), "version", e.Version)
	b = append(b, `,"created":`...)
	return strconv.AppendBool(b, e.Version == 1)
}

// AppendAddResult appends the members of an add's result. The sum is text: it may have more
// digits than a number of JavaScript keeps.
func AppendAddResult(b []byte, did *kv.OpResult) []byte {
	if !did.NoValue {
		b = append(kvjson.AppendValue(b, did.Entry.Value()), ',')
	}
	return AppendPutResult(b, did.Entry)
}

// AppendPosition appends the member position.
func AppendPosition(b []byte, at kv.Position) []byte {
	b = append(b, `"position":"`...)
	return append(at.AppendTo(b), '"')
}

// AppendBatch appends the object of a batch that ran. now is the log time, in
// milliseconds, that TTLs count from; it is asked only if there is one to show. It fails
// as Room does if c only reads. What has changed something must be told: there values
// for which there is no room are left out, as in a replayed result.
func AppendBatch(b []byte, c *kv.Command, result *kv.Result, now func() int64, room Room) ([]byte, error) {
	ops := c.Ops
	if result.Outcome == kv.ElseRan {
		ops = c.Else
		b = append(b, `{"committed":false,"failed":`...)
		b = strconv.AppendInt(b, int64(result.Failed), 10)
	} else {
		b = append(b, `{"committed":true`...)
	}
	if result.Rev != 0 {
		b = kvjson.AppendNumber(append(b, ','), "rev", uint64(result.Rev))
	}
	b = append(b, `,"results":[`...)
	// At once: to double a large buffer takes more than there may be room for. If it fails
	// the values are asked for one by one.
	b, _ = room.Grow(b, resultsSize(ops, result))
	at := int64(0)
	for i := range result.Ops {
		if i > 0 {
			b = append(b, ',')
		}
		did := &result.Ops[i]
		if did.Entry != nil && did.Entry.Deadline() != 0 && at == 0 {
			at = now()
		}
		var err error
		if b, err = appendOpResult(b, &ops[i], did, at, room); err != nil && c.ReadOnly() {
			return b, err
		}
	}
	return append(b, `]}`...), nil
}

// resultsSize returns about how many bytes the results take at most, 0 if no get among them
// has found a value.
func resultsSize(ops []kv.Op, result *kv.Result) (n int) {
	const beside = 192 // what a result takes that is not an entry's
	for i := range result.Ops {
		if did := &result.Ops[i]; ops[i].Kind == kv.OpGet && did.Entry != nil && !did.NoValue {
			n += entryBytes + len(ops[i].Key) + did.Entry.Size() + did.Entry.Size()/8
		}
	}
	if n > 0 {
		n += beside * len(result.Ops)
	}
	return n
}

// appendOpResult appends the object of one operation. If room refuses a value it is
// without it.
func appendOpResult(b []byte, op *kv.Op, did *kv.OpResult, now int64, room Room) (_ []byte, err error) {
	b = append(b, '{')
	switch op.Kind {
	case kv.OpPut:
		b = AppendPutResult(b, did.Entry)
	case kv.OpAdd:
		b = AppendAddResult(b, did)
	case kv.OpTouch:
		b = append(b, `"touched":`...)
		if b = strconv.AppendBool(b, did.Entry != nil); did.Entry != nil {
			b = AppendPutResult(append(b, ','), did.Entry)
		}
	case kv.OpDelete:
		b = append(b, `"deleted":`...)
		b = strconv.AppendBool(b, did.Entry != nil)
	case kv.OpGet:
		b = append(b, `"found":`...)
		b = strconv.AppendBool(b, did.Entry != nil)
		if did.Entry != nil {
			b, err = appendRead(append(b, ','), op.Key, did, now, room)
		}
	}
	return append(b, '}'), err
}

// appendRead appends the members of what a get has found. If room refuses its value they
// are without it.
func appendRead(b []byte, key string, did *kv.OpResult, now int64, room Room) ([]byte, error) {
	if did.NoValue {
		return AppendEntryFields(b, key, did.Entry, now, false), nil
	}
	start := len(b)
	grown, err := room.Entry(b, key, did.Entry.Size())
	if err == nil {
		b = AppendEntryFields(grown, key, did.Entry, now, true)
		err = room.Took(b)
	}
	if err != nil {
		b = AppendEntryFields(b[:start], key, did.Entry, now, false)
	}
	return b, err
}
