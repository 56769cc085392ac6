package e2e_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"keywatch/kv"
	"keywatch/kv/kvtest"
	"keywatch/kv/lock"
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
func (h httpStore) ask(ctx context.Context, c call, to any) (kv.Outcome, error) {
	a, err := h.cl.do(ctx, c)
	if err != nil {
		return 0, err
	}
	if a.status < 300 {
		if to == nil {
			return kv.Committed, nil
		}
		return kv.Committed, a.decode(to)
	}
	var p problem
	if err := a.decode(&p); err != nil {
		return 0, err
	}
	if outcome, known := kvtest.Outcomes[p.Code]; known {
		return outcome, nil
	}
	return 0, fmt.Errorf("%s %s: status %d: %s", c.method, c.path, a.status, a.body)
}

func (h httpStore) Grant(ctx context.Context, ttl time.Duration) (kv.LeaseID, error) {
	var got struct{ ID string }
	_, err := h.ask(ctx, call{method: "POST", path: "/v1/leases", body: fmt.Sprintf(`{"ttl":"%dms"}`, ttl.Milliseconds())}, &got)
	if err != nil {
		return kv.LeaseID{}, err
	}
	return kv.ParseLeaseID(got.ID)
}

func (h httpStore) KeepAlive(ctx context.Context, id kv.LeaseID) (kv.Outcome, error) {
	return h.ask(ctx, call{method: "POST", path: "/v1/leases/" + id.String() + "/keepalive"}, nil)
}

func (h httpStore) Revoke(ctx context.Context, id kv.LeaseID) (kv.Outcome, error) {
	return h.ask(ctx, call{method: "DELETE", path: "/v1/leases/" + id.String()}, nil)
}

func (h httpStore) Lives(ctx context.Context, id kv.LeaseID) (bool, error) {
	outcome, err := h.ask(ctx, call{method: "GET", path: "/v1/leases/" + id.String()}, nil)
	return outcome == kv.Committed, err
}

func (h httpStore) Acquire(ctx context.Context, q lock.Request) (held kvtest.Held, err error) {
	body := fmt.Sprintf(`{"ttl":"%dms","wait":"%dms","owner":%q}`, q.TTL.Milliseconds(), q.Wait.Milliseconds(), q.Owner)
	var got struct {
		Token kv.Rev
		Lease string
	}
	held.Outcome, err = h.ask(ctx, call{method: "POST", path: "/v1/locks/" + q.Name, body: body}, &got)
	if err == nil && held.Outcome == kv.Committed {
		held.Token = got.Token
		held.Lease, err = kv.ParseLeaseID(got.Lease)
	}
	return held, err
}

func (h httpStore) KeepLock(ctx context.Context, name string, token kv.Rev) (kv.Outcome, error) {
	return h.ask(ctx, call{method: "POST", path: "/v1/locks/" + name + "/keepalive", body: fmt.Sprintf(`{"token":%d}`, token)}, nil)
}

func (h httpStore) Unlock(ctx context.Context, name string, token kv.Rev) (kv.Outcome, error) {
	return h.ask(ctx, call{method: "DELETE", path: fmt.Sprintf("/v1/locks/%s?token=%d", name, token)}, nil)
}

func (h httpStore) Break(ctx context.Context, name string) (kv.Outcome, error) {
	return h.ask(ctx, call{method: "DELETE", path: "/v1/locks/" + name + "?force=1"}, nil)
}

func (h httpStore) Queue(ctx context.Context, name string) (owners []string, err error) {
	var got struct{ Queue []struct{ Owner string } }
	_, err = h.ask(ctx, call{method: "GET", path: "/v1/locks/" + name}, &got)
	for _, p := range got.Queue {
		owners = append(owners, p.Owner)
	}
	return owners, err
}
