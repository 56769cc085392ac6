package client_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"keywatch/app"
	"keywatch/client"
	"keywatch/kv"
	"keywatch/kv/kvtest"
	"keywatch/kv/lock"
)

// If this failed, a program would get from this client something else than every
// other way to the server gives.
func TestSuite(t *testing.T) {
	kvtest.Suite(t, func(t *testing.T) kvtest.Store { return newConformer(t) })
}

// If this failed, leases and locks of this client would be something else than
// those of the server.
func TestCoordinatorSuite(t *testing.T) {
	kvtest.CoordinatorSuite(t, func(t *testing.T) kvtest.Coordinator { return newConformer(t) })
}

// A conformer is a client as the suites see it.
type conformer struct {
	c        *client.Client
	replayed atomic.Bool // whether the last answer was given before
	mu       sync.Mutex
	held     map[kv.Rev]*client.Held
}

func newConformer(t *testing.T) *conformer {
	f := &conformer{held: map[kv.Rev]*client.Held{}}
	f.c = connectWith(t, client.Options{Endpoints: []string{serve(t, app.ServeConfig{}).url}, HTTP: &http.Client{Transport: f}})
	t.Cleanup(func() {
		for _, h := range f.held {
			_ = h.Unlock(context.Background()) // or it was lost
		}
	})
	return f
}

// RoundTrip notes what the client keeps to itself of a batch: it asks for other things meanwhile.
func (f *conformer) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err == nil && r.URL.Path == "/v1/batch" {
		f.replayed.Store(resp.Header.Get("Idempotency-Replayed") == "true")
	}
	return resp, err
}

func (f *conformer) Do(ctx context.Context, c *kv.Command) (kvtest.Answer, error) {
	out := kvtest.Answer{Outcome: kv.Committed}
	opts := []client.WriteOption{client.IdempotencyKey(c.Idem.Key)}
	for _, fence := range c.Fences {
		opts = append(opts, client.IfFence(fence.Lock, client.Token(fence.Token)))
	}
	if c.Prefix != nil {
		deleted, err := f.c.DeletePrefix(ctx, *c.Prefix, append(opts, client.Everything())...)
		out.Deleted = deleted
		return out, err
	}
	if c.HasElse && len(c.Else) == 0 {
		return f.emptyElse(ctx, c)
	}
	b := client.Batch{Ops: ops(c.Ops), Checks: checks(c.Checks), Else: ops(c.Else)}
	did, err := f.c.Batch(ctx, b, opts...)
	out.Replayed = f.replayed.Load()
	if err != nil {
		return out, refused(&out, err)
	}
	out.Rev = kv.Rev(did.Rev)
	branch := c.Ops
	if !did.Committed {
		out.Outcome, out.Failed, branch = kv.ElseRan, did.Failed, c.Else
		if out.Current, err = f.Get(ctx, c.Checks[did.Failed].Key); err != nil {
			return out, err
		}
	}
	for i, r := range did.Results {
		out.Ops = append(out.Ops, opAnswer(branch[i], r))
	}
	return out, nil
}

// emptyElse runs a batch whose else does nothing, which this client cannot say:
// a check that fails is an error there.
func (f *conformer) emptyElse(ctx context.Context, c *kv.Command) (kvtest.Answer, error) {
	plain := *c
	plain.HasElse = false
	out, err := f.Do(ctx, &plain)
	if out.Outcome == kv.CheckFailed {
		out.Outcome = kv.ElseRan
	}
	return out, err
}

func ops(from []kv.Op) (to []client.Op) {
	for _, op := range from {
		var opts []client.WriteOption
		if op.TTL == kv.KeepTTL {
			opts = append(opts, client.KeepTTL())
		} else if op.TTL != 0 {
			opts = append(opts, client.TTL(op.TTL))
		}
		if op.Lease != (kv.LeaseID{}) {
			opts = append(opts, client.OnLease(client.LeaseID(op.Lease.String())))
		}
		switch op.Kind {
		case kv.OpPut:
			to = append(to, client.OpPut(op.Key, op.Value, opts...))
		case kv.OpDelete:
			to = append(to, client.OpDelete(op.Key))
		case kv.OpGet:
			to = append(to, client.OpGet(op.Key))
		case kv.OpAdd:
			to = append(to, client.OpAdd(op.Key, op.By))
		case kv.OpTouch:
			to = append(to, client.OpTouch(op.Key, op.TTL))
		}
	}
	return to
}

func checks(from []kv.Check) (to []client.Check) {
	for _, k := range from {
		switch {
		case k.Kind == kv.CheckRev:
			to = append(to, client.CheckRev(k.Key, client.Rev(k.N)))
		case k.Kind == kv.CheckCreate:
			to = append(to, client.CheckCreateRev(k.Key, client.Rev(k.N)))
		case k.Kind == kv.CheckVersion:
			to = append(to, client.CheckVersion(k.Key, k.N))
		case k.Kind == kv.CheckValue:
			to = append(to, client.CheckValue(k.Key, k.Value))
		case k.Kind == kv.CheckValueNot:
			to = append(to, client.CheckNotValue(k.Key, k.Value))
		case k.N == 1:
			to = append(to, client.CheckExists(k.Key))
		default:
			to = append(to, client.CheckAbsent(k.Key))
		}
	}
	return to
}

func opAnswer(op kv.Op, r client.OpResult) (a kvtest.OpAnswer) {
	a.Rev, a.Version, a.Created = kv.Rev(r.Written.Rev), r.Written.Version, r.Written.Created
	if op.Kind == kv.OpAdd {
		a.Sum = strconv.FormatInt(r.Sum, 10)
	}
	a.Deleted = op.Kind == kv.OpDelete && r.Deleted
	if r.Entry != nil {
		a.Found = found(r.Entry)
	}
	return a
}

func found(e *client.Entry) *kvtest.Found {
	lease, _ := kv.ParseLeaseID(string(e.Lease)) // zero if it has none
	return &kvtest.Found{
		Key: e.Key, Value: string(e.Value), Rev: kv.Rev(e.Rev), Create: kv.Rev(e.CreateRev), Version: e.Version,
		TTL: e.TTL != 0, Lease: lease,
	}
}

// refused converts an error that is an outcome, and returns every other one.
func refused(out *kvtest.Answer, err error) error {
	var e *client.Error
	if !errors.As(err, &e) {
		return err
	}
	if known, ok := kvtest.Refusals[e.Code]; ok {
		return fmt.Errorf("%w: %w", known, err)
	}
	outcome, known := kvtest.Outcomes[e.Code]
	if !known {
		return err
	}
	out.Outcome, out.Failed = outcome, max(0, e.Index)
	if e.Current != nil {
		out.Current = found(e.Current)
	}
	return nil
}

func (f *conformer) Get(ctx context.Context, key string) (*kvtest.Found, error) {
	e, err := f.c.Get(ctx, key)
	if errors.Is(err, client.ErrNotFound) {
		return nil, nil
	}
	return found(&e), err
}

func (f *conformer) List(ctx context.Context, prefix string) (all []kvtest.Found, err error) {
	for e, err := range f.c.List(ctx, prefix, client.PageSize(2)) {
		if err != nil {
			return nil, err
		}
		all = append(all, *found(&e))
	}
	return all, nil
}

// outcome is Committed, or what err stands for.
func outcome(err error) (kv.Outcome, error) {
	out := kvtest.Answer{Outcome: kv.Committed}
	if err != nil {
		err = refused(&out, err)
	}
	return out.Outcome, err
}

func (f *conformer) Grant(ctx context.Context, ttl time.Duration) (kv.LeaseID, error) {
	info, err := f.c.GrantLease(ctx, ttl)
	if err != nil {
		return kv.LeaseID{}, err
	}
	return kv.ParseLeaseID(string(info.ID))
}

func (f *conformer) KeepAlive(ctx context.Context, id kv.LeaseID) (kv.Outcome, error) {
	_, err := f.c.KeepLeaseAlive(ctx, client.LeaseID(id.String()))
	return outcome(err)
}

func (f *conformer) Revoke(ctx context.Context, id kv.LeaseID) (kv.Outcome, error) {
	return outcome(f.c.RevokeLease(ctx, client.LeaseID(id.String())))
}

func (f *conformer) Lives(ctx context.Context, id kv.LeaseID) (bool, error) {
	_, err := f.c.LeaseInfo(ctx, client.LeaseID(id.String()))
	if errors.Is(err, client.ErrLeaseEnded) {
		return false, nil
	}
	return err == nil, err
}

func (f *conformer) Acquire(ctx context.Context, q lock.Request) (held kvtest.Held, err error) {
	opts := client.LockOptions{TTL: q.TTL, Owner: q.Owner}
	var h *client.Held
	if q.Wait == 0 {
		h, err = f.c.TryLock(ctx, q.Name, opts)
	} else {
		h, err = f.c.LockWait(ctx, q.Name, opts, q.Wait)
	}
	if err != nil {
		held.Outcome, err = outcome(err)
		return held, err
	}
	held.Outcome, held.Token = kv.Committed, kv.Rev(h.Token())
	held.Lease, err = kv.ParseLeaseID(string(h.Lease()))
	f.mu.Lock()
	defer f.mu.Unlock()
	f.held[held.Token] = h
	return held, err
}

// KeepLock renews by hand what a Held renews automatically.
func (f *conformer) KeepLock(ctx context.Context, name string, token kv.Rev) (kv.Outcome, error) {
	body := fmt.Appendf(nil, `{"token":%d}`, token)
	_, err := f.c.Do(ctx, &client.Request{Method: "POST", Path: "/v1/locks/" + name + "/keepalive", Body: body})
	return outcome(err)
}

func (f *conformer) Unlock(ctx context.Context, name string, token kv.Rev) (kv.Outcome, error) {
	f.mu.Lock()
	h := f.held[token]
	delete(f.held, token)
	f.mu.Unlock()
	if h != nil {
		return outcome(h.Unlock(ctx))
	}
	query := map[string][]string{"token": {fmt.Sprint(token)}}
	_, err := f.c.Do(ctx, &client.Request{Method: "DELETE", Path: "/v1/locks/" + name, Query: query})
	return outcome(err)
}

func (f *conformer) Break(ctx context.Context, name string) (kv.Outcome, error) {
	return outcome(f.c.BreakLock(ctx, name))
}

func (f *conformer) Queue(ctx context.Context, name string) (owners []string, err error) {
	resp, err := f.c.Do(ctx, &client.Request{Path: "/v1/locks/" + name})
	if errors.Is(err, client.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var got struct{ Queue []struct{ Owner string } }
	err = json.Unmarshal(resp.Body, &got)
	for _, p := range got.Queue {
		owners = append(owners, p.Owner)
	}
	return owners, err
}
