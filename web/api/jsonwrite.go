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

// AppendPosition appends the member position.
func AppendPosition(b []byte, at kv.Position) []byte {
	b = append(b, `"position":"`...)
	return append(at.AppendTo(b), '"')
}

// AppendBatch appends the object of a batch that ran. now is the log time, in
// milliseconds, that TTLs count from; it is asked only if there is one to show.
func AppendBatch(b []byte, c *kv.Command, result *kv.Result, now func() int64) []byte {
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
	at := int64(0)
	for i := range result.Ops {
		if i > 0 {
			b = append(b, ',')
		}
		did := &result.Ops[i]
		if did.Entry != nil && did.Entry.Deadline() != 0 && at == 0 {
			at = now()
		}
		b = appendOpResult(b, &ops[i], did, at)
	}
	return append(b, `]}`...)
}

func appendOpResult(b []byte, op *kv.Op, did *kv.OpResult, now int64) []byte {
	b = append(b, '{')
	switch op.Kind {
	case kv.OpPut:
		b = AppendPutResult(b, did.Entry)
	case kv.OpDelete:
		b = append(b, `"deleted":`...)
		b = strconv.AppendBool(b, did.Entry != nil)
	case kv.OpGet:
		b = append(b, `"found":`...)
		b = strconv.AppendBool(b, did.Entry != nil)
		if did.Entry != nil {
			b = AppendEntryFields(append(b, ','), op.Key, did.Entry, now, !did.NoValue)
		}
	}
	return append(b, '}')
}
