package auth

import (
	"context"
	"fmt"
	"strconv"

	"keywatch/kv"
)

// A Rotation is what a new key takes the place of.
type Rotation uint8

// The rotations.
const (
	// RotateTickets makes a new key that signs tickets; those of the one before stay good.
	RotateTickets Rotation = iota
	// RotateData makes a new data key, seals every record with it, and removes the others.
	RotateData
	// RotateMaster wraps the data keys with the first sealing key of the file.
	RotateMaster
)

// Bounds on what one command of a rotation changes: records, and bytes of their values.
const (
	rotateRecords = 256
	rotateBytes   = 512 << 10
	// rotatePasses bounds how often a rotation looks for records that others wrote meanwhile.
	rotatePasses = 8
)

// Rotate makes a new key, and returns how many records were written with it. It fails as other
// changes do; what it has done until then stays, and the next Rotate continues.
func (r *Registry) Rotate(ctx context.Context, by By, what Rotation) (n int, err error) {
	switch what {
	case RotateTickets:
		return 1, r.rotateTickets(ctx, by)
	case RotateData:
		return r.rotateData(ctx, by)
	}
	return r.rotateMaster(ctx, by)
}

// rotateTickets makes a new key for tickets, and removes those that are older than any ticket.
func (r *Registry) rotateTickets(ctx context.Context, by By) error {
	_, err := r.run(ctx, by, isAdmin, func(c *change) error {
		t := r.table
		newest, _ := t.newestTicketKey()
		next := recordName(kindTicket, strconv.FormatUint(newest.Number+1, 10))
		c.check(next, 0)
		c.put(next, ticketRecord{Secret: NewDataKey(), Made: t.Now()})
		if newest.Number > 1 {
			c.remove(recordName(kindTicket, strconv.FormatUint(newest.Number-1, 10)))
		}
		return nil
	})
	return err
}

func dataKeyName(n uint64) string { return recordName(kindDataK, strconv.FormatUint(n, 10)) }

// rotateData makes a data key, seals all records with it, and removes the older ones.
func (r *Registry) rotateData(ctx context.Context, by By) (n int, err error) {
	var next uint64
	_, err = r.run(ctx, by, isAdmin, func(c *change) error {
		next = r.table.sealer.Newest() + 1
		wrapped, err := r.table.opts.Wrapper.Wrap(dataKeyName(next), NewDataKey())
		c.check(dataKeyName(next), 0)
		c.command.Puts = append(c.command.Puts, kv.PrivateRecord{Name: dataKeyName(next), Value: wrapped})
		return err
	})
	if err != nil {
		return 0, err
	}
	for range rotatePasses {
		moved, err := r.reseal(ctx, by, next)
		n += moved
		if err != nil {
			return n, err
		}
		if moved == 0 {
			break
		}
	}
	return n, r.dropDataKeys(ctx, by, next)
}

// older ranges over the records that are sealed with a data key before next.
func (r *Registry) older(next uint64) (list []kv.PrivateRecord) {
	for rec := range r.log.State().PrivateRecords() {
		if kind, _ := cutRecord(rec.Name); kind == kindDataK {
			continue
		}
		if number, _, err := sealedWith(rec.Name, rec.Value); err == nil && number < next {
			list = append(list, rec)
		}
	}
	return list
}

// reseal seals the records of older data keys again, and returns how many it did.
func (r *Registry) reseal(ctx context.Context, by By, next uint64) (n int, err error) {
	list := r.older(next)
	for len(list) > 0 {
		some, size := 0, 0
		for some < len(list) && some < rotateRecords && size < rotateBytes {
			size += len(list[some].Value)
			some++
		}
		_, err := r.run(ctx, by, isAdmin, func(c *change) error { return c.reseal(list[:some], next) })
		if err != nil && err != errNothingToDo {
			return n, err
		}
		n += some
		list = list[some:]
	}
	return n, nil
}

// errNothingToDo ends a change that has nothing to change.
var errNothingToDo = fmt.Errorf("%w: there is nothing to change", ErrBadRequest)

// reseal has a change write records again as they are now, sealed with the newest data key.
func (c *change) reseal(list []kv.PrivateRecord, next uint64) error {
	t := c.registry.table
	for _, rec := range list {
		now, ok := c.registry.log.State().Private(rec.Name)
		if !ok {
			continue
		}
		if number, _, err := sealedWith(now.Name, now.Value); err != nil || number >= next {
			continue
		}
		plain, err := t.sealer.Open(now.Name, now.Value)
		if err != nil {
			return err
		}
		sealed, err := t.sealer.Seal(now.Name, plain)
		if err != nil {
			return err
		}
		c.check(now.Name, now.Rev)
		c.command.Puts = append(c.command.Puts, kv.PrivateRecord{Name: now.Name, Value: sealed})
	}
	if len(c.command.Puts) == 0 {
		return errNothingToDo
	}
	return nil
}

// dropDataKeys removes the data keys before next, unless a record needs one: every change expects
// the data key that it sealed with, so that none comes after.
func (r *Registry) dropDataKeys(ctx context.Context, by By, next uint64) error {
	_, err := r.run(ctx, by, isAdmin, func(c *change) error {
		if len(r.older(next)) > 0 {
			return ErrBusy
		}
		r.table.mu.RLock()
		for n, rev := range r.table.mu.deks {
			if n < next {
				c.check(dataKeyName(n), rev)
				c.remove(dataKeyName(n))
			}
		}
		r.table.mu.RUnlock()
		if len(c.command.Deletes) == 0 {
			return errNothingToDo
		}
		return nil
	})
	if err == errNothingToDo {
		return nil
	}
	return err
}

// rotateMaster wraps all data keys again.
func (r *Registry) rotateMaster(ctx context.Context, by By) (n int, err error) {
	_, err = r.run(ctx, by, isAdmin, func(c *change) error {
		n = 0
		for rec := range r.log.State().PrivateRecords() {
			if kind, _ := cutRecord(rec.Name); kind != kindDataK {
				continue
			}
			key, err := r.table.opts.Wrapper.Unwrap(rec.Name, rec.Value)
			if err != nil {
				return err
			}
			wrapped, err := r.table.opts.Wrapper.Wrap(rec.Name, key)
			if err != nil {
				return err
			}
			c.check(rec.Name, rec.Rev)
			c.command.Puts = append(c.command.Puts, kv.PrivateRecord{Name: rec.Name, Value: wrapped})
			n++
		}
		return nil
	})
	return n, err
}
