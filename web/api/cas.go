package api

import (
	"time"

	"keywatch/kv"
)

// A CAS is a compare-and-swap by value as it was written.
type CAS struct {
	// Absent says that no value is expected, Remove that there is to be none.
	Expected, New  Text
	Absent, Remove bool
	// Encoding and Lease are for Expected and New, TTL and Lease for New.
	Encoding, Lease Text
	TTL             time.Duration
}

var casFields = []string{"expected", "new", "encoding", "ttl", "lease"}

// ParseCAS reads the body of a compare-and-swap, whose memory the result shares.
func ParseCAS(body []byte) (d CAS, err error) {
	s := NewScanner(body)
	var seen FieldSet
	s.Open('{')
	for n := 0; s.More('}', n); n++ {
		switch s.Field(casFields, &seen) {
		case 0:
			d.Expected, d.Absent = s.TextOrNull()
		case 1:
			d.New, d.Remove = s.TextOrNull()
		case 2:
			d.Encoding = s.Text()
		case 3:
			d.TTL = s.TTL()
		case 4:
			d.Lease = s.Text()
		}
	}
	if err := s.End(); err != nil {
		return d, err
	}
	if !seen.Has(1<<0) || !seen.Has(1<<1) {
		return d, Refuse(CodeBadJSON, `fields "expected" and "new" are required; null means absent`)
	}
	return d, nil
}

// Command adds what the document asks for to c.
func (d *CAS) Command(c *kv.Command, key string) (err error) {
	if d.Remove && (d.TTL != 0 || d.Lease.Given()) {
		return Refuse(CodeBadJSON, "ttl and lease require a new value")
	}
	check := kv.Check{Kind: kv.CheckExists, Key: key}
	if !d.Absent {
		check.Kind = kv.CheckValue
		if check.Value, err = d.Expected.Value(d.Encoding); err != nil {
			return err
		}
	}
	op := kv.Op{Kind: kv.OpDelete, Key: key}
	if !d.Remove {
		op.Kind, op.TTL = kv.OpPut, d.TTL
		if op.Value, err = d.New.Value(d.Encoding); err != nil {
			return err
		}
	}
	if d.Lease.Given() {
		if op.Lease, err = NamedLease(d.Lease.String()); err != nil {
			return err
		}
	}
	c.Checks, c.Ops = []kv.Check{check}, []kv.Op{op}
	return nil
}
