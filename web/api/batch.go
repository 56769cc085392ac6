package api

import (
	"fmt"

	"keywatch/kv"
)

var batchFields = []string{"checks", "ops", "else"}

// ParseBatch reads the body of a batch into c. limit bounds the operations, and
// the checks, so that a document cannot grow far beyond its size in memory.
// Values share memory with body; keys do not.
func ParseBatch(body []byte, limit int, c *kv.Command) error {
	s := NewScanner(body)
	var seen FieldSet
	s.Open('{')
	for n := 0; s.More('}', n); n++ {
		switch s.Field(batchFields, &seen) {
		case 0:
			s.Checks(limit, c)
		case 1:
			c.Ops = s.Ops(limit)
		case 2:
			c.HasElse = true
			c.Else = s.Ops(limit - len(c.Ops))
		}
	}
	if err := s.End(); err != nil {
		return err
	}
	if !seen.Has(1 << 1) {
		return Refuse(CodeBadJSON, `field "ops" is required`)
	}
	if len(c.Ops)+len(c.Else) > limit {
		return TooManyOps(limit)
	}
	return nil
}

// TooManyOps returns the failure of a batch with more operations, or checks, than
// limit.
func TooManyOps(limit int) error {
	return &Failure{
		Code: CodeBatchTooLarge, Limit: limit,
		Detail: fmt.Sprintf("a batch has up to %d operations and as many checks; --max-batch-ops bounds them", limit),
	}
}
