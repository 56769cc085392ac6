package app

import (
	"context"
	"time"

	"keywatch/auth"
	"keywatch/kv/wake"
)

// watch makes what is to be made, where this server leads, until ctx ends.
func (a *access) watch(ctx context.Context) {
	for ctx.Err() == nil {
		a.look(ctx)
		wait := accessEvery
		if a.table.Empty() || a.table.Err() != nil {
			wait = accessSoon
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
		}
	}
}

// awaitUsers says when a store without users, of which another server of the cluster has authentication, gets some.
func (a *access) awaitUsers(ctx context.Context) {
	changed := wake.New()
	a.table.OnChange(changed.Wake)
	for !a.table.Used() {
		select {
		case <-changed:
		case <-ctx.Done():
			return
		}
	}
	a.logger.Error("the store has users now, and this server runs without authentication: it serves nothing any more: restart it")
}

// failuresQuiet is how many looks in a row may fail before the log says why: servers that start together wait for
// each other.
const failuresQuiet = 5

// look makes the first administrator, and the keys that age; it gets the sealing key where that is missing.
func (a *access) look(ctx context.Context) {
	if a.lacksKey() {
		a.obtain(ctx)
	}
	a.writeUses(ctx)
	if !a.engine.leads() || a.table.Err() != nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, accessEvery)
	defer cancel()
	err := a.furnish(ctx)
	if err == nil && a.table.TicketKeyAge() > ticketKeyAge {
		_, err = a.registry.Rotate(ctx, auth.Server, auth.RotateTickets)
	}
	if err == nil && a.table.Worn() {
		_, err = a.registry.Rotate(ctx, auth.Server, auth.RotateData)
	}
	if a.failed++; err == nil {
		a.failed = 0
	}
	if a.failed == failuresQuiet && ctx.Err() == nil {
		a.logger.Error("keys cannot be made", "err", err)
	}
}

// usesSteps bounds how many commands write the days of last uses in one look.
const usesSteps = 16

// writeUses writes on which day API keys were used last here.
func (a *access) writeUses(ctx context.Context) {
	if !a.on || a.table.Err() != nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, accessEvery)
	defer cancel()
	for range usesSteps {
		more, err := a.registry.WriteUses(ctx)
		if err != nil {
			a.logger.Debug("the days of last uses are not written yet", "err", err)
		}
		if err != nil || !more {
			return
		}
	}
}
