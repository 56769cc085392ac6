package api

import "keywatch/kv"

// Ops reads an array of up to limit operations. Values share memory with the
// document; keys do not.
func (s *Scanner) Ops(limit int) (ops []kv.Op) {
	s.Open('[')
	for n := 0; s.More(']', n); n++ {
		if n >= limit {
			s.FailWith(TooManyOps(limit))
			return nil
		}
		start := s.i
		o := s.op()
		if s.err != nil {
			return nil
		}
		if n == 0 {
			ops = make([]kv.Op, 0, s.likely(start, limit))
		}
		ops = append(ops, o.op)
	}
	return ops
}

// The fields of an operation, and the bits of some of them.
var opFields = []string{"op", "key", "value", "encoding", "ttl", "lease", "by"}

const (
	opOp FieldSet = 1 << iota
	opKey
	opValue
	opEncoding
	opTTL
	opLease
	opBy
)

// An opDocument is one operation of a batch as it was written.
type opDocument struct {
	op                   kv.Op
	value, coding, lease Text
	ttl                  string
	seen                 FieldSet
}

// op reads one operation.
func (s *Scanner) op() (o opDocument) {
	s.Open('{')
	for n := 0; s.More('}', n); n++ {
		switch s.Field(opFields, &o.seen) {
		case 0:
			o.op.Kind = s.opKind()
		case 1:
			o.op.Key = s.Key()
		case 2:
			o.value = s.Text()
		case 3:
			o.coding = s.Text()
		case 4:
			o.ttl = s.Duration()
		case 5:
			o.lease = s.Text()
		case 6:
			o.op.By = s.Int()
		}
	}
	if s.err == nil {
		s.finishOp(&o)
	}
	return o
}

func (s *Scanner) opKind() kv.OpKind {
	name := s.Text().Decode(nil)
	switch string(name) {
	case "put":
		return kv.OpPut
	case "delete":
		return kv.OpDelete
	case "get":
		return kv.OpGet
	case "add":
		return kv.OpAdd
	case "touch":
		return kv.OpTouch
	}
	s.FailWith(Refuse(CodeBadJSON, "op: expected put, delete, get, add or touch, got %.80q", name))
	return 0
}

// finishOp checks that an operation has the fields that it takes, and no
// others, and decodes its value.
func (s *Scanner) finishOp(o *opDocument) {
	const common = opOp | opKey
	var err error
	switch {
	case o.seen&common != common:
		s.Fail("an operation has op and key")
	case o.op.Kind == kv.OpPut && o.seen&opBy != 0:
		s.Fail("a put has a value")
	case o.op.Kind == kv.OpPut && !o.value.Given():
		s.Fail("a put has a value")
	case o.op.Kind == kv.OpPut:
		s.finishPut(o)
	case o.op.Kind == kv.OpAdd && o.seen == common:
		o.op.By = 1
	case o.op.Kind == kv.OpAdd && o.seen != common|opBy:
		s.Fail("an add has op, key and by only")
	case o.op.Kind == kv.OpAdd:
	case o.op.Kind == kv.OpTouch && o.seen != common|opTTL:
		s.Fail("a touch has op, key and ttl")
	case o.op.Kind == kv.OpTouch:
		o.op.TTL, err = ParseTouch(o.ttl)
		s.FailWith(err)
	case o.seen != common:
		s.Fail("a delete or get has op and key only")
	}
}

// finishPut decodes what a put has.
func (s *Scanner) finishPut(o *opDocument) {
	var err error
	o.op.Value, err = o.value.Value(o.coding)
	s.FailWith(err)
	if o.seen&opTTL != 0 {
		o.op.TTL, err = ParseTTL(o.ttl)
		s.FailWith(err)
	}
	if o.lease.Given() {
		o.op.Lease, err = NamedLease(o.lease.String())
		s.FailWith(err)
	}
}
