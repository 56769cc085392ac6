package auth

import (
	"errors"
	"fmt"
	"strings"
)

// A Verb is something that a caller may do.
type Verb uint8

// The verbs. The first four are on keys, or names of locks; the others have no target.
const (
	Read Verb = iota
	Watch
	Write
	Lock
	Lease
	Metrics
	Operate
	Backup
	Cluster
	Admin
)

const (
	// targeted is how many verbs have a target.
	targeted = int(Lock) + 1
	verbs    = int(Admin) + 1
)

var verbNames = [verbs]string{"read", "watch", "write", "lock", "lease", "metrics", "operate", "backup", "cluster", "admin"}

// ErrBadGrant is returned when a text is not a grant.
var ErrBadGrant = errors.New("malformed grant")

// String returns the verb's name.
func (v Verb) String() string { return verbNames[v] }

// Targeted reports whether the verb is on keys or names.
func (v Verb) Targeted() bool { return int(v) < targeted }

// ParseVerb reads what String writes. It fails with an error that matches ErrBadGrant.
func ParseVerb(name string) (Verb, error) {
	for v, known := range verbNames {
		if name == known {
			return Verb(v), nil
		}
	}
	return 0, fmt.Errorf("%w: unknown verb %.40q: use %s", ErrBadGrant, name, strings.Join(verbNames[:], ", "))
}
