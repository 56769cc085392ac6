package web

import (
	"strconv"
	"time"

	"keywatch/kv"
)

// A casDocument is the body of a compare-and-swap by value.
type casDocument struct {
	expected, next     text
	wantAbsent, remove bool
	encoding           text
	ttl                time.Duration
	lease              text
	seen               uint32
}

var casFields = []string{"expected", "new", "encoding", "ttl", "lease"}

func (d *casDocument) has(name string) bool {
	for i, n := range casFields {
		if n == name {
			return d.seen&(1<<i) != 0
		}
	}
	return false
}

// parseCAS reads the body of a compare-and-swap.
func parseCAS(body []byte) (d casDocument, err error) {
	s := scanner{b: body}
	s.open('{')
	for n := 0; s.more('}', n); n++ {
		switch s.field(casFields, &d.seen) {
		case 0:
			if d.wantAbsent = s.null(); !d.wantAbsent {
				d.expected = s.text()
			}
		case 1:
			if d.remove = s.null(); !d.remove {
				d.next = s.text()
			}
		case 2:
			d.encoding = s.text()
		case 3:
			d.ttl = s.ttl()
		case 4:
			d.lease = s.text()
		}
	}
	if err := s.end(); err != nil {
		return d, err
	}
	if !d.has("expected") || !d.has("new") {
		return d, refuse(CodeBadJSON, "expected and new are wanted; null is absent")
	}
	if d.remove && (d.has("ttl") || d.has("lease")) {
		return d, refuse(CodeBadJSON, "a ttl or lease goes with a new value")
	}
	return d, nil
}

// ttl reads a time to live.
func (s *scanner) ttl() time.Duration {
	text := s.duration()
	if s.err != nil {
		return 0
	}
	d, err := parseTTL(text)
	s.failWith(err)
	return d
}

// command adds what the document asks for to c.
func (d *casDocument) command(c *kv.Command, key string) error {
	check := kv.Check{Kind: kv.CheckExists, Key: key}
	var err error
	if !d.wantAbsent {
		check.Kind = kv.CheckValue
		if check.Value, err = d.expected.value(d.encoding, d.has("encoding")); err != nil {
			return err
		}
	}
	op := kv.Op{Kind: kv.OpDelete, Key: key}
	if !d.remove {
		op.Kind, op.TTL = kv.OpPut, d.ttl
		if op.Value, err = d.next.value(d.encoding, d.has("encoding")); err != nil {
			return err
		}
	}
	if d.has("lease") {
		if op.Lease, err = namedLease(d.lease.string()); err != nil {
			return err
		}
	}
	c.Checks, c.Ops = []kv.Check{check}, []kv.Op{op}
	return nil
}

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
	d, err := parseCAS(r.body())
	if err != nil {
		return err
	}
	if err := d.command(&c, r.key); err != nil {
		return err
	}
	result, err := r.do(&c, 1)
	if err != nil {
		return err
	}
	if e := result.Ops[0].Entry; !d.remove {
		r.showPut(e, result.At.Epoch)
		return nil
	}
	r.out = append(r.out[:0], `{"deleted":`...)
	r.out = strconv.AppendBool(r.out, result.Ops[0].Entry != nil)
	r.out = appendNumber(append(r.out, ','), "rev", uint64(result.Rev))
	r.out = append(r.out, '}')
	r.json(200)
	return nil
}
