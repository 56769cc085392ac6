package auth_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"

	"keywatch/auth"
	"keywatch/kv"
	"keywatch/watch"
)

// A server that may lack a revocation must show nothing that it did not ask others about; what it asks them about
// answers for itself.
func TestServerThatIsBehindShowsNothing(t *testing.T) {
	r := newRig(t)
	var behind atomic.Bool
	table := auth.NewTable(auth.TableOptions{Wrapper: r.wrapper, Behind: func() error {
		if behind.Load() {
			return kv.ErrNoLeader
		}
		return nil
	}})
	t.Cleanup(table.Close)
	table.PrivateReset(r.state.PrivateRecords(), r.state.AuthRev(), r.state.Position().Epoch)
	hub := watch.New(watch.Options{})
	t.Cleanup(hub.Close)
	hub.Bind(r.state)
	who, err := table.Authenticate([]byte(r.secret))
	if err != nil {
		t.Fatal(err)
	}
	v := auth.NewDoor(r.store, hub, table).As(who)
	ctx := context.Background()
	reads := map[string]func(local bool) error{
		"get": func(local bool) error { _, _, err := v.Get(ctx, "a", local, nil); return err },
		"list": func(local bool) error {
			snap, _, err := v.Snapshot(ctx, "", local)
			if err == nil {
				snap.Close()
			}
			return err
		},
	}
	for _, late := range []bool{false, true} {
		behind.Store(late)
		for name, read := range reads {
			if err := read(false); err != nil {
				t.Errorf("%s, behind %v: got %v", name, late, err)
			}
			if err := read(true); errors.Is(err, kv.ErrNoLeader) != late {
				t.Errorf("local %s, behind %v: got %v", name, late, err)
			}
		}
		w, _, err := v.Watch(watch.Request{Keys: []string{"a"}})
		if errors.Is(err, kv.ErrNoLeader) != late {
			t.Errorf("watch, behind %v: got %v", late, err)
		}
		if err == nil {
			w.Close()
		}
	}
}

// A server must not take a sealing key that does not open what it has.
func TestOpens(t *testing.T) {
	r := newRig(t)
	if err := auth.Opens(r.wrapper, r.state.PrivateRecords()); err != nil {
		t.Errorf("the key that sealed: got %v", err)
	}
	if err := auth.Opens(newWrapper(t), r.state.PrivateRecords()); !errors.Is(err, auth.ErrSealed) {
		t.Errorf("another key: got %v, want %v", err, auth.ErrSealed)
	}
	if err := auth.Opens(newWrapper(t), kv.NewState(kv.StateOptions{Presize: 1}).PrivateRecords()); err != nil {
		t.Errorf("no records: got %v", err)
	}
}

// A lateWrapper is one whose key may be replaced.
type lateWrapper struct{ auth.Wrapper }

// Records that could not be read must be readable once the sealing key is there, without a restart.
func TestRecordsAreReadOnceThereIsAKey(t *testing.T) {
	r := newRig(t)
	late := &lateWrapper{newWrapper(t)}
	table := r.newTable(late)
	r.state.FollowPrivate(table)
	if err := table.Err(); !errors.Is(err, auth.ErrSealed) {
		t.Fatalf("with another key: got %v, want %v", err, auth.ErrSealed)
	}
	late.Wrapper = r.wrapper
	r.state.TellPrivate()
	if err := table.Err(); err != nil {
		t.Errorf("with the key: got %v", err)
	}
	if _, err := table.Authenticate([]byte(r.secret)); err != nil {
		t.Errorf("the administrator: got %v", err)
	}
}
