package auth_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"keywatch/auth"
	"keywatch/kv"
	"keywatch/kv/kvtest"
	"keywatch/watch"
)

// need returns what an error says is missing.
func needed(err error) string {
	if d, ok := errors.AsType[*auth.DeniedError](err); ok {
		return d.Need
	}
	return fmt.Sprint(err)
}

// What a caller does through its view must be allowed, wherever in the view it does it.
func TestViewAsksBeforeItDoes(t *testing.T) {
	r := newRig(t)
	ctx := t.Context()
	ann := r.as(r.user("ann", "read,watch:a/", "write:w/"))
	prefix := "a/"
	for name, c := range map[string]struct {
		try  func(v auth.View) error
		need string // "<nil>" if ann may
	}{
		"get":           {func(v auth.View) error { _, _, err := v.Get(ctx, "b", false, nil); return err }, "read:b"},
		"get a":         {func(v auth.View) error { _, _, err := v.Get(ctx, "a/1", false, nil); return err }, "<nil>"},
		"local get":     {func(v auth.View) error { _, _, err := v.Get(ctx, "b", true, nil); return err }, "read:b"},
		"list":          {func(v auth.View) error { return snapshot(v.Snapshot(ctx, "", false)) }, "read:*"},
		"list a":        {func(v auth.View) error { return snapshot(v.Snapshot(ctx, "a/x", true)) }, "<nil>"},
		"put":           {func(v auth.View) error { return do(v, &kv.Command{Ops: []kv.Op{kvtest.Put("a/1", "")}}) }, "write:a/1"},
		"put w":         {func(v auth.View) error { return do(v, &kv.Command{Ops: []kv.Op{kvtest.Put("w/1", "")}}) }, "<nil>"},
		"begin":         {func(v auth.View) error { _, err := v.Begin(ctx, &kv.Command{Prefix: &prefix}); return err }, "write:a/"},
		"watch":         {func(v auth.View) error { return watched(v, watch.Request{Keys: []string{"a/1", "w/1"}}) }, "read:w/1"},
		"watch all":     {func(v auth.View) error { return watched(v, watch.Request{Prefixes: []string{""}}) }, "read:*"},
		"watch a":       {func(v auth.View) error { return watched(v, watch.Request{Prefixes: []string{"a/"}}) }, "<nil>"},
		"lock":          {func(v auth.View) error { _, err := v.Lock(ctx, "l", 1); return err }, "read:locks/l"},
		"lease":         {func(v auth.View) error { _, _, err := v.Lease(ctx, kv.LeaseID{1}); return err }, "lease"},
		"metrics":       {func(v auth.View) error { _, err := v.May(auth.Metrics); return err }, "metrics"},
		"another table": {func(v auth.View) error { _, err := v.MayKey(auth.Lock, "l"); return err }, "lock:l"},
	} {
		if err := c.try(ann); needed(err) != c.need {
			t.Errorf("%s: got %v, want %s", name, err, c.need)
		}
		if err := c.try(r.admin); err != nil {
			t.Errorf("%s, administrator: %v", name, err)
		}
		if err := c.try(r.door.As(nil)); reason(err) != "missing" {
			t.Errorf("%s, no caller: got %v, want it to be refused", name, err)
		}
		if err := c.try(r.door.As(r.table.Anonymous())); err == nil || needed(err) == "<nil>" {
			t.Errorf("%s, anonymous: it was allowed", name)
		}
		if err := c.try(auth.NewDoor(r.store, r.door.Hub(), nil).As(nil)); err != nil {
			t.Errorf("%s without authentication: %v", name, err)
		}
	}
}

func snapshot(snap *kv.Snapshot, _ auth.Pass, err error) error {
	if err == nil {
		snap.Close()
	}
	return err
}

func watched(v auth.View, q watch.Request) error {
	w, _, err := v.Watch(q)
	if err == nil {
		w.Close()
	}
	return err
}

func do(v auth.View, c *kv.Command) error { _, err := v.Do(context.Background(), c); return err }

// A caller that may not read must get the same answers whatever stands there.
func TestAnswersTellNothing(t *testing.T) {
	r := newRig(t)
	ctx := t.Context()
	ann := r.as(r.user("ann", "write:w/", "lease", "lock:l"))
	value := func(key string) *kv.Check { c := kvtest.Value(key, "x"); return &c }
	commands := map[string]func() *kv.Command{
		"get": func() *kv.Command { return &kv.Command{Ops: []kv.Op{kvtest.Get("b")}} },
		"check": func() *kv.Command {
			return &kv.Command{Checks: []kv.Check{*value("b")}, Ops: []kv.Op{kvtest.Put("w/1", "")}}
		},
		"check value": func() *kv.Command {
			return &kv.Command{Checks: []kv.Check{*value("w/2")}, Ops: []kv.Op{kvtest.Put("w/2", "")}}
		},
		"fence": func() *kv.Command {
			return &kv.Command{Fences: []kv.Fence{{Lock: "m", Token: 3}}, Ops: []kv.Op{kvtest.Put("w/1", "")}}
		},
		"put on a lease": func() *kv.Command {
			op := kvtest.Put("w/1", "")
			op.Lease = kv.LeaseID{9}
			return &kv.Command{Ops: []kv.Op{op}}
		},
		"keep": func() *kv.Command { return &kv.Command{Lease: &kv.LeaseCommand{Kind: kv.LeaseKeep, ID: kv.LeaseID{9}}} },
		"revoke": func() *kv.Command {
			return &kv.Command{Lease: &kv.LeaseCommand{Kind: kv.LeaseRevoke, ID: kv.LeaseID{9}}}
		},
		"keep lock": func() *kv.Command { return &kv.Command{Lock: &kv.LockCommand{Kind: kv.LockKeep, Name: "l", Token: 9}} },
		"free lock": func() *kv.Command {
			return &kv.Command{Lock: &kv.LockCommand{Kind: kv.LockRelease, Name: "l", Token: 9}}
		},
		"other lock": func() *kv.Command { return &kv.Command{Lock: &kv.LockCommand{Kind: kv.LockKeep, Name: "m", Token: 9}} },
	}
	answers := func() map[string]string {
		out := make(map[string]string)
		for name, make := range commands {
			res, err := ann.Do(ctx, make())
			out[name] = fmt.Sprint(res.Outcome, res.Failed, res.Current, res.Ops, needed(err))
		}
		_, known, err := ann.Lease(ctx, kv.LeaseID{9})
		out["lease"] = fmt.Sprint(known, err)
		return out
	}
	before := answers()
	grant := &kv.LeaseCommand{Kind: kv.LeaseGrant, ID: kv.LeaseID{9}, TTL: time.Hour, Caller: "u-other"}
	lock := &kv.LockCommand{Kind: kv.LockAcquire, Name: "l", ID: kv.LeaseID{8}, TTL: time.Hour, Caller: "u-other"}
	for _, c := range []*kv.Command{{Lease: grant}, {Lock: lock}, {Ops: []kv.Op{kvtest.Put("b", "x")}}} {
		if _, err := r.store.Do(ctx, c); err != nil {
			t.Fatal(err)
		}
	}
	e, _ := r.state.Get(kv.LockKey("l"))
	commands["keep lock"] = func() *kv.Command {
		return &kv.Command{Lock: &kv.LockCommand{Kind: kv.LockKeep, Name: "l", Token: e.Create}}
	}
	commands["free lock"] = func() *kv.Command {
		return &kv.Command{Lock: &kv.LockCommand{Kind: kv.LockRelease, Name: "l", Token: e.Create}}
	}
	if after := answers(); !reflect.DeepEqual(after, before) {
		t.Errorf("with other keys and leases there\n got %v\nwant %v", after, before)
	}
	if e, _ := r.state.Get(kv.LockKey("l")); e == nil {
		t.Error("another caller's lock was released")
	}
	if _, ok := r.state.Lease(kv.LeaseID{9}); !ok {
		t.Error("another caller's lease was ended")
	}
}

// If this failed, a write could be acknowledged after the revocation that should have stopped it.
func TestNoWriteAfterRevocation(t *testing.T) {
	r := newRig(t)
	ctx := t.Context()
	ann := r.as(r.user("ann", "read,write:a/"))
	bob := r.as(r.user("bob", "read,write:b/"))
	var wait sync.WaitGroup
	stop := make(chan struct{})
	newest := make([]kv.Rev, 2)
	for i, v := range []auth.View{ann, bob} {
		wait.Go(func() {
			key := []string{"a/1", "b/1"}[i]
			for {
				res, err := v.Do(ctx, &kv.Command{Ops: []kv.Op{kvtest.Put(key, "v")}})
				if err == nil {
					newest[i] = max(newest[i], res.Rev)
				} else if i == 1 && !errors.Is(err, auth.ErrMoved) {
					t.Errorf("bob, who is not touched: %v", err)
				}
				select {
				case <-stop:
					return
				default:
				}
				if err != nil && i == 0 {
					return
				}
			}
		})
	}
	for _, key := range []string{"a/1", "b/1"} { // both are writing
		for e, _ := r.state.Get(key); e == nil || e.Version < 20; e, _ = r.state.Get(key) {
			time.Sleep(time.Millisecond)
		}
	}
	if err := r.registry.DeleteUser(ctx, r.admin.By(), "ann", auth.Condition{}); err != nil {
		t.Fatal(err)
	}
	revoked := r.state.AuthRev()
	for end := r.state.Position().Rev + 50; r.state.Position().Rev < end; {
		time.Sleep(time.Millisecond)
	}
	close(stop)
	wait.Wait()
	if newest[0] > revoked || newest[1] < revoked {
		t.Errorf("revoked at %d: ann wrote %d, bob %d", revoked, newest[0], newest[1])
	}
	if e, _ := r.state.Get("a/1"); e.Mod > revoked {
		t.Errorf("ann's key was written at %d, after the revocation at %d", e.Mod, revoked)
	}
}

// If this failed, what was read before a revocation would be shown after it.
func TestPassEndsWithStanding(t *testing.T) {
	r := newRig(t)
	ann := r.as(r.user("ann", "read,watch:a/"))
	p, err := ann.MayWatch([]string{"a/1"}, nil)
	if err != nil || p.Still() != nil {
		t.Fatalf("got %v, %v", err, p.Still())
	}
	r.role("bob", "read:b/")
	if err := p.Still(); err != nil {
		t.Errorf("another role was made: got %v", err)
	}
	r.role("ann", "read,watch:a/", "read:b/")
	if err := p.Still(); !errors.Is(err, auth.ErrMoved) {
		t.Errorf("the role was changed: got %v, want %v", err, auth.ErrMoved)
	}
	if p, err = ann.MayWatch([]string{"a/1"}, nil); err != nil {
		t.Fatal(err)
	}
	if err := r.registry.DeleteUser(t.Context(), r.admin.By(), "ann", auth.Condition{}); err != nil {
		t.Fatal(err)
	}
	if err := p.Still(); reason(err) != "revoked" {
		t.Errorf("the user was deleted: got %v, want revoked", err)
	}
}

// If this failed, streams of a credential that expires would go on until the next change.
func TestExpiryWakesWhoWatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.user("ann", "read,watch:a/")
		c := r.as(r.key(auth.KeySpec{User: "ann", TTL: time.Minute})).Caller()
		r.table.Follow(c)
		defer r.table.Unfollow(c)
		time.Sleep(time.Minute - time.Millisecond)
		synctest.Wait()
		before := r.changes.Load()
		if s := c.Look(); s.Ended != "" {
			t.Errorf("before its end: got %+v", s)
		}
		time.Sleep(3 * time.Millisecond)
		synctest.Wait()
		if s := c.Look(); r.changes.Load() == before || s.Ended != auth.Expired {
			t.Errorf("after its end: got %+v, and %d wakes", s, r.changes.Load()-before)
		}
	})
}
