package web

import (
	"errors"
	"strings"
	"sync/atomic"

	"keywatch/auth"
	"keywatch/ratelimit"
	"keywatch/web/api"
)

// A LoginRate bounds the logins that fail.
type LoginRate struct {
	// Address is for those from one address, or one /64 of IPv6, Name for those under one name.
	Address, Name ratelimit.Rate
}

// DefaultLoginRate is the default of a LoginRate: 10 of one address at once, then one in 2 s; 20
// under one name, then one in 5 s, so that no one can lock a name for good.
var DefaultLoginRate = LoginRate{
	Address: ratelimit.Rate{PerSecond: 0.5, Burst: 10}, Name: ratelimit.Rate{PerSecond: 0.2, Burst: 20},
}

// Validate returns an error if a rate is out of bounds.
func (l LoginRate) Validate() error {
	if err := (ratelimit.Options{Reads: l.Address}).Validate(); err != nil {
		return err
	}
	return ratelimit.Options{Reads: l.Name}.Validate()
}

// logins bounds the logins that fail, by address and by name, and counts them all.
type logins struct {
	address, name *ratelimit.Limiter
	// good, wrong and refused count logins by how they ended.
	good, wrong, refused atomic.Uint64
}

func newLogins(rate LoginRate) *logins {
	if rate == (LoginRate{}) {
		rate = DefaultLoginRate
	}
	return &logins{
		address: ratelimit.New(ratelimit.Options{Reads: rate.Address}),
		name:    ratelimit.New(ratelimit.Options{Reads: rate.Name}),
	}
}

// admit refuses a login after too many that failed, before its password is looked at.
func (l *logins) admit(address, name string) error {
	for _, bound := range l.bounds(address, name) {
		if d := bound.limiter.Peek(bound.key, ratelimit.Read); !d.OK {
			l.refused.Add(1)
			return &api.Failure{
				Code: api.CodeTooManyLogins, Limit: d.Limit, Retry: d.RetryAfter,
				Detail: "too many failed logins " + bound.what + " bounds them",
			}
		}
	}
	return nil
}

// done counts a login that was admitted, by how it ended.
func (l *logins) done(address, name string, err error) {
	switch {
	case err == nil:
		l.good.Add(1)
	case errors.Is(err, auth.ErrWrongPassword):
		l.wrong.Add(1)
		for _, bound := range l.bounds(address, name) {
			bound.limiter.Allow(bound.key, ratelimit.Read, 1)
		}
	default:
		l.refused.Add(1)
	}
}

// A loginBound is one of the limits that a login counts against.
type loginBound struct {
	limiter   *ratelimit.Limiter
	key, what string
}

func (l *logins) bounds(address, name string) [2]loginBound {
	name = strings.ToLower(name[:min(len(name), auth.MaxName)])
	return [2]loginBound{
		{l.address, ratelimit.Network(address), "from this address: --login-rate-address"},
		{l.name, name, "of this user: --login-rate-name"},
	}
}
