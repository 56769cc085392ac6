package web

import (
	"encoding/base64"
	"fmt"

	"keywatch/kv"
)

// value returns the bytes that t stands for, under the encoding that the
// document gives, if it gives one. They may share memory with the document.
func (t text) value(encoding text, has bool) ([]byte, error) {
	if !has {
		return t.decode(nil), nil
	}
	if name := encoding.decode(nil); string(name) != "base64" {
		return nil, refuse(CodeBadValue, "the encoding is base64, not %.80q", name)
	}
	src := t.decode(nil)
	dst := make([]byte, base64.StdEncoding.DecodedLen(len(src)))
	for _, c := range src {
		if c == '\r' || c == '\n' { // which the decoder would pass over
			return nil, refuse(CodeBadValue, "a value is not base64")
		}
	}
	n, err := base64.StdEncoding.Strict().Decode(dst, src)
	if err != nil {
		return nil, refuse(CodeBadValue, "a value is not base64")
	}
	return dst[:n], nil
}

var batchFields = []string{"checks", "ops", "else"}

// parseBatch reads the body of a batch into c. limit bounds the operations, and
// the checks, so that a document cannot grow far beyond its size in memory.
// Values share memory with body; keys do not.
func parseBatch(body []byte, limit int, c *kv.Command) error {
	s := scanner{b: body}
	var seen uint32
	s.open('{')
	for n := 0; s.more('}', n); n++ {
		switch s.field(batchFields, &seen) {
		case 0:
			s.checks(limit, c)
		case 1:
			c.Ops = s.ops(limit)
		case 2:
			c.HasElse = true
			c.Else = s.ops(limit - len(c.Ops))
		}
	}
	if err := s.end(); err != nil {
		return err
	}
	if seen&2 == 0 {
		return refuse(CodeBadJSON, "ops is wanted")
	}
	if len(c.Ops)+len(c.Else) > limit {
		return tooManyOps(limit)
	}
	return nil
}

func tooManyOps(limit int) error {
	return &failure{
		code: CodeBatchTooLarge, limit: limit,
		detail: fmt.Sprintf("a batch has up to %d operations and as many checks", limit),
	}
}

// ops reads an array of operations.
func (s *scanner) ops(limit int) (ops []kv.Op) {
	s.open('[')
	for n := 0; s.more(']', n); n++ {
		if n >= limit {
			s.failWith(tooManyOps(limit))
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
var opFields = []string{"op", "key", "value", "encoding", "ttl", "lease"}

const (
	opOp = 1 << iota
	opKey
	opValue
	opEncoding
	opTTL
	opLease
)

// An opDocument is one operation of a batch as it was written.
type opDocument struct {
	op                   kv.Op
	value, coding, lease text
	seen                 uint32
}

func (o *opDocument) has(bit uint32) bool { return o.seen&bit != 0 }

// op reads one operation.
func (s *scanner) op() (o opDocument) {
	s.open('{')
	for n := 0; s.more('}', n); n++ {
		switch s.field(opFields, &o.seen) {
		case 0:
			o.op.Kind = s.opKind()
		case 1:
			o.op.Key = s.key()
		case 2:
			o.value = s.text()
		case 3:
			o.coding = s.text()
		case 4:
			o.op.TTL = s.ttl()
		case 5:
			o.lease = s.text()
		}
	}
	if s.err == nil {
		s.finishOp(&o)
	}
	return o
}

func (s *scanner) opKind() kv.OpKind {
	name := s.text().decode(nil)
	switch string(name) {
	case "put":
		return kv.OpPut
	case "delete":
		return kv.OpDelete
	case "get":
		return kv.OpGet
	}
	s.failWith(refuse(CodeBadJSON, "an op is put, delete or get, not %.80q", name))
	return 0
}

// finishOp checks that an operation has the fields that it takes, and no
// others, and decodes its value.
func (s *scanner) finishOp(o *opDocument) {
	const common = opOp | opKey
	switch {
	case o.seen&common != common:
		s.fail("an operation has op and key")
	case o.op.Kind == kv.OpPut && !o.has(opValue):
		s.fail("a put has a value")
	case o.op.Kind != kv.OpPut && o.seen != common:
		s.fail("a delete or get has op and key only")
	case o.op.Kind == kv.OpPut:
		var err error
		o.op.Value, err = o.value.value(o.coding, o.has(opEncoding))
		s.failWith(err)
		if o.has(opLease) {
			o.op.Lease, err = namedLease(o.lease.string())
			s.failWith(err)
		}
	}
}

// checks reads the array of checks.
func (s *scanner) checks(limit int, c *kv.Command) {
	s.open('[')
	for n := 0; s.more(']', n); n++ {
		if n >= limit {
			s.failWith(tooManyOps(limit))
			return
		}
		k := s.check()
		if s.err == nil {
			c.Checks = append(c.Checks, k)
		}
	}
}

// The fields of a check.
var checkFields = []string{"key", "rev", "create_rev", "version", "exists", "value", "encoding", "lock", "token"}

const (
	checkKey = 1 << iota
	checkRev
	checkCreateRev
	checkVersion
	checkExists
	checkValue
	checkEncoding
	checkLock
	checkToken
)

// check reads one check.
func (s *scanner) check() (k kv.Check) {
	var seen uint32
	var value, coding text
	var lock string
	s.open('{')
	for n := 0; s.more('}', n); n++ {
		switch s.field(checkFields, &seen) {
		case 0:
			k.Key = s.key()
		case 1, 2, 3, 8:
			k.N = s.uint()
		case 4:
			if s.bool() {
				k.N = 1
			}
		case 5:
			value = s.text()
		case 6:
			coding = s.text()
		case 7:
			lock = s.text().string()
		}
	}
	if s.err != nil {
		return k
	}
	switch seen {
	case checkKey | checkRev:
		k.Kind = kv.CheckRev
	case checkKey | checkCreateRev:
		k.Kind = kv.CheckCreate
	case checkKey | checkVersion:
		k.Kind = kv.CheckVersion
	case checkKey | checkExists:
		k.Kind = kv.CheckExists
	case checkKey | checkValue, checkKey | checkValue | checkEncoding:
		k.Kind = kv.CheckValue
		var err error
		k.Value, err = value.value(coding, seen&checkEncoding != 0)
		s.failWith(err)
	case checkLock | checkToken:
		s.lockCheck(&k, lock)
	default:
		s.fail("a check has key and one of rev, create_rev, version, exists, value; or lock and token")
	}
	return k
}

// lockCheck makes k the check of a lock: its holder's key was created at the
// token.
func (s *scanner) lockCheck(k *kv.Check, lock string) {
	k.Kind, k.Key = kv.CheckCreate, kv.ReservedPrefix+lock
	if !kv.LockName(lock) {
		s.failWith(refuse(CodeBadCondition, "%.80q is not the name of a lock", lock))
	}
	if k.N == 0 {
		s.failWith(refuse(CodeBadCondition, "a token is at least 1"))
	}
}
