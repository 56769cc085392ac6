package e2e_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"keywatch/kv"
	"keywatch/kv/kvtest"
	"keywatch/kv/lock"
	"keywatch/test/load"
)

var _ kvtest.Coordinator = httpStore{}

// TestCoordinatorSuite: the server does with leases and locks over HTTP what the
// conformance suite wants of every store.
func TestCoordinatorSuite(t *testing.T) {
	t.Parallel()
	kvtest.CoordinatorSuite(t, func(t *testing.T) kvtest.Coordinator {
		return httpStore{newClient(t, serve(t, "--memory-only"))}
	})
}

// ask sends a call. It returns what the code of a refusal stands for, or
// Committed and the body of a good answer in to, if that is not nil.
func (h httpStore) ask(ctx context.Context, c load.Call, to any) (kv.Outcome, error) {
	a, err := h.cl.Do(ctx, c)
	if err != nil {
		return 0, err
	}
	if a.Status < 300 {
		if to == nil {
			return kv.Committed, nil
		}
		return kv.Committed, a.Decode(to)
	}
	var p load.Problem
	if err := a.Decode(&p); err != nil {
		return 0, err
	}
	if outcome, known := kvtest.Outcomes[p.Code]; known {
		return outcome, nil
	}
	return 0, fmt.Errorf("%s %s: status %d: %s", c.Method, c.Path, a.Status, a.Body)
}

func (h httpStore) Grant(ctx context.Context, ttl time.Duration) (kv.LeaseID, error) {
	var got struct{ ID string }
	_, err := h.ask(ctx, load.Call{Method: "POST", Path: "/v1/leases", Body: fmt.Sprintf(`{"ttl":"%dms"}`, ttl.Milliseconds())}, &got)
	if err != nil {
		return kv.LeaseID{}, err
	}
	return kv.ParseLeaseID(got.ID)
}

func (h httpStore) KeepAlive(ctx context.Context, id kv.LeaseID) (kv.Outcome, error) {
	return h.ask(ctx, load.Call{Method: "POST", Path: "/v1/leases/" + id.String() + "/keepalive"}, nil)
}

func (h httpStore) Revoke(ctx context.Context, id kv.LeaseID) (kv.Outcome, error) {
	return h.ask(ctx, load.Call{Method: "DELETE", Path: "/v1/leases/" + id.String()}, nil)
}

func (h httpStore) Lives(ctx context.Context, id kv.LeaseID) (bool, error) {
	outcome, err := h.ask(ctx, load.Call{Method: "GET", Path: "/v1/leases/" + id.String()}, nil)
	return outcome == kv.Committed, err
}

func (h httpStore) Acquire(ctx context.Context, q lock.Request) (held kvtest.Held, err error) {
	body := fmt.Sprintf(`{"ttl":"%dms","wait":"%dms","owner":%q}`, q.TTL.Milliseconds(), q.Wait.Milliseconds(), q.Owner)
	var got struct {
		Token kv.Rev
		Lease string
	}
	held.Outcome, err = h.ask(ctx, load.Call{Method: "POST", Path: "/v1/locks/" + q.Name, Body: body}, &got)
	if err == nil && held.Outcome == kv.Committed {
		held.Token = got.Token
		held.Lease, err = kv.ParseLeaseID(got.Lease)
	}
	return held, err
}

func (h httpStore) KeepLock(ctx context.Context, name string, token kv.Rev) (kv.Outcome, error) {
	return h.ask(ctx, load.Call{Method: "POST", Path: "/v1/locks/" + name + "/keepalive", Body: fmt.Sprintf(`{"token":%d}`, token)}, nil)
}

func (h httpStore) Unlock(ctx context.Context, name string, token kv.Rev) (kv.Outcome, error) {
	return h.ask(ctx, load.Call{Method: "DELETE", Path: fmt.Sprintf("/v1/locks/%s?token=%d", name, token)}, nil)
}

func (h httpStore) Break(ctx context.Context, name string) (kv.Outcome, error) {
	return h.ask(ctx, load.Call{Method: "DELETE", Path: "/v1/locks/" + name + "?force=1"}, nil)
}

func (h httpStore) Queue(ctx context.Context, name string) (owners []string, err error) {
	var got struct{ Queue []struct{ Owner string } }
	_, err = h.ask(ctx, load.Call{Method: "GET", Path: "/v1/locks/" + name}, &got)
	for _, p := range got.Queue {
		owners = append(owners, p.Owner)
	}
	return owners, err
}
