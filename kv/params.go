package kv

import "time"

// Params are the bounds that the state machine itself enforces. They are part
// of the replicated state, so that every node decides alike. The zero value of
// each field is its default.
type Params struct {
	// TombstoneMax and TombstoneAge bound how many deletions are remembered and
	// for how long in log time; 100,000 and one hour.
	TombstoneMax int
	TombstoneAge time.Duration
	// IdemAge is how long the outcome of a request with an idempotency key is
	// kept in log time; 10 minutes.
	IdemAge time.Duration
	// IdemMax and IdemPerCaller bound the records kept; 1,000,000 and 100,000.
	IdemMax, IdemPerCaller int
	// IdemBytes bounds the memory that the records take, in bytes; one caller's may
	// take half of it. 256 MiB.
	IdemBytes int64
	// DeleteMax bounds the keys that one prefix deletion removes; 10,000.
	DeleteMax int
	// ExpireMax bounds the keys that one log entry expires; 1,000.
	ExpireMax int
	// LeaseMax and LeasePerCaller bound the leases that live at once, those of
	// locks and of their queues included; 500,000 and 200,000.
	LeaseMax, LeasePerCaller int
	// LeaseKeys bounds the keys attached to one lease, which are all deleted in one
	// revision; 10,000.
	LeaseKeys int
}

// WithDefaults returns p with its zero fields set.
func (p Params) WithDefaults() Params {
	set := func(field *int, value int) {
		if *field == 0 {
			*field = value
		}
	}
	set(&p.TombstoneMax, 100_000)
	set(&p.IdemMax, 1_000_000)
	set(&p.IdemPerCaller, 100_000)
	set(&p.DeleteMax, 10_000)
	set(&p.ExpireMax, 1_000)
	set(&p.LeaseMax, 500_000)
	set(&p.LeasePerCaller, 200_000)
	set(&p.LeaseKeys, 10_000)
	if p.IdemBytes == 0 {
		p.IdemBytes = 256 << 20
	}
	if p.TombstoneAge == 0 {
		p.TombstoneAge = time.Hour
	}
	if p.IdemAge == 0 {
		p.IdemAge = 10 * time.Minute
	}
	return p
}
