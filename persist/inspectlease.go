package persist

import (
	"keywatch/kv"

	bolt "go.etcd.io/bbolt"
)

// A LeaseDetail is a lease as of the checkpoint: what the log has beyond it is not in it.
type LeaseDetail struct {
	ID    string `json:"id"`
	TTLMS int64  `json:"ttl_ms"`
	// DeadlineMS is the log time at which it ends, RemainingMS how far that is from the checkpoint's.
	DeadlineMS  int64 `json:"deadline_ms"`
	RemainingMS int64 `json:"remaining_ms"`
	// Keys counts the keys that are attached to it.
	Keys int `json:"keys"`
	// Caller is for whom it counts. Lock is the lock that it is for, Owner what its holder says of
	// itself.
	Caller string `json:"caller,omitempty"`
	Lock   string `json:"lock,omitempty"`
	Owner  string `json:"owner,omitempty"`
}

// leases reads every lease, which checks it, and lists them if that is asked for.
func (x *Inspection) leases(tx *bolt.Tx, h *header, opts InspectOptions, attached map[kv.LeaseID]int) error {
	if h.seq == 0 {
		return nil
	}
	return h.readLeases(tx, func(id kv.LeaseID, b []byte) error {
		l, err := kv.ParseLease(id, b)
		if err != nil || !opts.Leases {
			return err
		}
		x.LeaseList = append(x.LeaseList, LeaseDetail{
			ID: id.String(), TTLMS: l.TTL, DeadlineMS: l.Deadline, RemainingMS: max(0, l.Deadline-h.meta.Time),
			Keys: attached[id], Caller: l.Caller, Lock: l.Lock, Owner: l.Owner,
		})
		return nil
	})
}
