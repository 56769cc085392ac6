package api

import (
	"context"
	"time"

	"keywatch/kv"
	"keywatch/watch"
)

// awaitMax is how long a watch waits for the position that it resumes after.
const awaitMax = 2 * time.Second

// A Waiter knows a position, and can wait until it is the newest.
type Waiter interface {
	Position() kv.Position
	Barrier(ctx context.Context) error
}

// AwaitPosition waits, for two seconds at most, until this server has what the position of req
// says: a client that was told of it by another server of the store may be ahead of this one. What
// is still ahead then is of no history here, and the hub resets it. For a server that is alone it
// does not wait.
func AwaitPosition(ctx context.Context, store Waiter, req *watch.Request) {
	if req.Since == "" {
		return
	}
	at, err := kv.ParsePosition(req.Since)
	if now := store.Position(); err != nil || at.Epoch == now.Epoch && at.Rev <= now.Rev {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, awaitMax)
	defer cancel()
	_ = store.Barrier(ctx) // without a leader the watch begins where this server is
}
