package api

import (
	"fmt"

	"keywatch/kv"
	"keywatch/kv/lock"
)

var lockFields = []string{"ttl", "wait", "owner"}

// ParseLock reads the body of a request for a lock into q.
func ParseLock(body []byte, q *lock.Request) error {
	s := NewScanner(body)
	var seen FieldSet
	s.Open('{')
	for n := 0; s.More('}', n); n++ {
		switch s.Field(lockFields, &seen) {
		case 0:
			q.TTL = s.ownTTL()
		case 1:
			q.Wait = s.Wait()
		case 2:
			q.Owner = s.Text().String()
		}
	}
	if err := s.End(); err != nil {
		return err
	}
	if !seen.Has(1 << 0) {
		return Refuse(CodeBadJSON, `field "ttl" is required`)
	}
	return CheckOwner(q.Owner)
}

// CheckOwner fails if text is too long to be shown as the owner of a lock.
func CheckOwner(text string) error {
	if len(text) > kv.MaxOwner {
		return &Failure{Code: CodeBadValue, Detail: fmt.Sprintf("the owner's text is longer than %d bytes, which is fixed", kv.MaxOwner), Limit: kv.MaxOwner}
	}
	return nil
}

// ParseLockKeep reads the body of a renewal: the token that the lock is held
// under.
func ParseLockKeep(body []byte) (token kv.Rev, err error) {
	s := NewScanner(body)
	var seen FieldSet
	s.Open('{')
	for n := 0; s.More('}', n); n++ {
		if s.Field([]string{"token"}, &seen) == 0 {
			token = kv.Rev(s.Uint())
		}
	}
	if err := s.End(); err != nil {
		return 0, err
	}
	if token == 0 {
		return 0, Refuse(CodeBadJSON, `field "token" is required`)
	}
	return token, nil
}
