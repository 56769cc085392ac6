package load

import (
	"context"
	"time"
)

// A Target is where requests go. It is safe for concurrent use.
type Target interface {
	// Pick returns the URL of a server for one request or connection. After one that ended
	// without an answer the caller calls lost, which returns when another makes sense, or ctx
	// ends.
	Pick() (url string, lost func(ctx context.Context))
}

// Pause is the pause of a poll.
func Pause(ctx context.Context) { rest(ctx, 5*time.Millisecond) }

// rest returns after d, or when ctx ends.
func rest(ctx context.Context, d time.Duration) {
	if d == 0 {
		return
	}
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}
