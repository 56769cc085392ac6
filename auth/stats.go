package auth

import (
	"strings"

	"github.com/puzpuzpuz/xsync/v3"
)

// Results are how credentials of requests are counted: by their kind if they were accepted, else by
// why not.
var Results = []string{
	kindNames[Anonymous], kindNames[Key], kindNames[Session], kindNames[Ticketed], kindNames[Certificate], kindNames[JWT],
	Missing, Malformed, Unknown, Expired, Revoked, Disabled,
}

// Ends are why streams are ended.
var Ends = []string{Expired, Revoked, Narrowed, Disabled}

// Verbs returns the names of all verbs.
func Verbs() []string { return verbNames[:] }

// Stats are figures of a table.
type Stats struct {
	// Requests count credentials by result, Denied what was denied by verb, Ended streams that were
	// ended by why, since the start.
	Requests, Denied, Ended map[string]int64
	// CatchUps count waits for credentials that were not known here by result, Waiting are those that wait.
	CatchUps map[string]int64
	Waiting  int
	// Users, Roles and Credentials are how many there are, Tokens how many JWTs are remembered as verified;
	// Revision is the auth revision.
	Users, Roles, Credentials, Tokens int
	Revision                          uint64
}

// tally counts by one of a fixed list of names.
type tally map[string]*xsync.Counter

func newTally(names []string) tally {
	t := make(tally, len(names))
	for _, name := range names {
		t[name] = xsync.NewCounter()
	}
	return t
}

func (t tally) add(name string) {
	if c := t[name]; c != nil {
		c.Inc()
	}
}

func (t tally) read() map[string]int64 {
	out := make(map[string]int64, len(t))
	for name, c := range t {
		out[name] = c.Value()
	}
	return out
}

// tallies are the counts of a table.
type tallies struct{ requests, denied, ended tally }

func newTallies() tallies {
	return tallies{requests: newTally(Results), denied: newTally(verbNames[:]), ended: newTally(Ends)}
}

// ResultOf returns which of Results a credential is, of which Authenticate, UseTicket or Good returned
// err; it is empty for none of them.
func ResultOf(c *Caller, err error) string {
	if failed, ok := err.(*FailedError); ok {
		return failed.Reason
	} else if err == nil && c != nil {
		return c.kind.String()
	}
	return ""
}

// Count counts the credential of a request by its result.
func (t *Table) Count(result string) { t.counts.requests.add(result) }

// deniedVerb counts what was denied.
func (t *Table) deniedVerb(e *DeniedError) {
	verb, _, _ := strings.Cut(e.Need, ":")
	t.counts.denied.add(verb)
}

// Stats returns the figures.
func (t *Table) Stats() Stats {
	n := t.count()
	return Stats{
		Requests: t.counts.requests.read(), Denied: t.counts.denied.read(), Ended: t.counts.ended.read(),
		CatchUps: t.catchup.results.read(), Waiting: t.catchup.waits(),
		Users: n.users, Roles: n.roles, Credentials: n.creds, Tokens: t.tokensKnown(), Revision: t.auth.Load(),
	}
}
