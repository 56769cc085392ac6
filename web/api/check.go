package api

import "keywatch/kv"

// Checks reads an array of up to limit checks and adds them to c.
func (s *Scanner) Checks(limit int, c *kv.Command) {
	s.Open('[')
	for n := 0; s.More(']', n); n++ {
		if n >= limit {
			s.FailWith(TooManyOps(limit))
			return
		}
		k := s.check()
		if s.err == nil {
			c.Checks = append(c.Checks, k)
		}
	}
}

// The fields of a check.
var checkFields = []string{"key", "rev", "create_rev", "version", "exists", "value", "encoding", "lock", "token", "not_value"}

const (
	checkKey FieldSet = 1 << iota
	checkRev
	checkCreateRev
	checkVersion
	checkExists
	checkValue
	checkEncoding
	checkLock
	checkToken
	checkNotValue
)

// check reads one check.
func (s *Scanner) check() (k kv.Check) {
	var seen FieldSet
	var value, coding Text
	var lock string
	s.Open('{')
	for n := 0; s.More('}', n); n++ {
		switch s.Field(checkFields, &seen) {
		case 0:
			k.Key = s.Key()
		case 1, 2, 3, 8:
			k.N = s.Uint()
		case 4:
			if s.Bool() {
				k.N = 1
			}
		case 5, 9:
			value = s.Text()
		case 6:
			coding = s.Text()
		case 7:
			lock = s.Text().String()
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
		k.Value, err = value.Value(coding)
		s.FailWith(err)
	case checkKey | checkNotValue, checkKey | checkNotValue | checkEncoding:
		k.Kind = kv.CheckValueNot
		var err error
		k.Value, err = value.Value(coding)
		s.FailWith(err)
	case checkLock | checkToken:
		s.lockCheck(&k, lock)
	default:
		s.Fail("a check has key and one of rev, create_rev, version, exists, value, not_value; or lock and token")
	}
	return k
}

// lockCheck makes k the check of a lock: its holder's key was created at the
// token.
func (s *Scanner) lockCheck(k *kv.Check, lock string) {
	k.Kind, k.Key = kv.CheckCreate, kv.ReservedPrefix+lock
	if !kv.LockName(lock) {
		s.FailWith(Refuse(CodeBadCondition, "%.80q is not a valid lock name", lock))
	}
	if k.N == 0 {
		s.FailWith(Refuse(CodeBadCondition, "token: expected a number of at least 1"))
	}
}
