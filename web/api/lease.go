package api

import (
	"strconv"
	"time"

	"keywatch/kv"
)

// NamedLease reads the lease that a write names. What is no name at all is that
// of no lease, like one that has ended.
func NamedLease(text string) (kv.LeaseID, error) {
	id, err := kv.ParseLeaseID(text)
	if err != nil {
		return id, &Failure{Code: CodeLeaseEnded, Detail: "lease " + strconv.Quote(clip(text)) + " does not exist or has expired"}
	}
	return id, nil
}

// LeaseNotFound returns the failure of a request about a lease that is not there.
func LeaseNotFound(id string) error {
	return Refuse(CodeLeaseNotFound, "lease %q does not exist or has expired", clip(id))
}

// clip bounds what a detail repeats of a request.
func clip(text string) string { return text[:min(len(text), 80)] }

// ParseLease reads the body of a request for a lease.
func ParseLease(body []byte) (ttl time.Duration, err error) {
	s := NewScanner(body)
	var seen FieldSet
	s.Open('{')
	for n := 0; s.More('}', n); n++ {
		if s.Field([]string{"ttl"}, &seen) == 0 {
			ttl = s.ownTTL()
		}
	}
	if err := s.End(); err != nil {
		return 0, err
	}
	if seen == 0 {
		return 0, Refuse(CodeBadJSON, `field "ttl" is required`)
	}
	return ttl, nil
}

// ownTTL reads a time to live that cannot be "keep".
func (s *Scanner) ownTTL() time.Duration {
	ttl := s.TTL()
	if s.err == nil && ttl == kv.KeepTTL {
		s.FailWith(Refuse(CodeBadDuration, "the ttl of a lease must be a duration, not keep"))
	}
	return ttl
}
