package app_test

import (
	"errors"
	"log/slog"
	"testing"
	"time"

	"keywatch/app"
	"keywatch/auth"
	"keywatch/kv"
	"keywatch/persist/faultfs"
	"keywatch/test/gate"
)

// onDisk is the configuration of a store with users whose log is on a disk that can fail.
func onDisk(dir, policy string, fsys *faultfs.FS) app.Config {
	c := app.Config{Data: dir, Fsync: policy, FsyncInterval: time.Hour, Fatal: func(error) {}, Logger: slog.New(slog.DiscardHandler)}
	c.Auth = "on"
	return c.OnDisk(fsys)
}

// A revocation is a user with two keys, of which the first is to be revoked.
type revocation struct {
	*testing.T
	dir, policy string
	fs          *faultfs.FS
	engine      *app.Engine
	id          auth.CredID
	secrets     [2]string
}

// newRevocation begins a store, and has all of it be durable.
func newRevocation(t *testing.T, policy string, fsys *faultfs.FS) *revocation {
	t.Helper()
	r := &revocation{T: t, dir: t.TempDir(), policy: policy, fs: fsys}
	r.open()
	users, ctx := r.engine.Accounts(), gate.Context(t)
	_, err := users.AddUser(ctx, auth.Server, "ann", auth.UserSpec{})
	must(t, err)
	for i := range r.secrets {
		secret, _, err := users.AddKey(ctx, auth.Server, auth.KeySpec{User: "ann"})
		must(t, err)
		r.secrets[i] = secret
	}
	r.id = auth.HashOf(r.secrets[0]).ID()
	must(t, r.engine.Checkpoint(ctx))
	return r
}

func (r *revocation) open() {
	r.Helper()
	engine, err := app.Open(r.Context(), onDisk(r.dir, r.policy, r.fs))
	if err != nil {
		r.Fatalf("%s: open: %v", r.policy, err)
	}
	r.engine = engine
}

func (r *revocation) revoke() error {
	return r.engine.Accounts().Revoke(gate.Context(r), auth.Server, auth.Key, r.id)
}

// good reports whether a key is accepted.
func (r *revocation) good(i int) bool {
	_, err := r.engine.Accounts().Table().Authenticate([]byte(r.secrets[i]))
	return err == nil
}

// cut opens the store again as it is after the power was cut.
func (r *revocation) cut(loss faultfs.Loss) {
	r.Helper()
	r.fs.CutAt(1)
	_ = r.engine.Close() // which fails, as everything does
	r.fs = r.fs.Crash(loss)
	r.open()
}

// If this failed, a key that was revoked, as its administrator was told, would be good again after a
// loss of power: where fsyncs follow later than answers, no other write is safe from that.
func TestRevocationSurvivesLossOfPower(t *testing.T) {
	for _, policy := range []string{"always", "interval"} {
		t.Run(policy, func(t *testing.T) {
			at := 0
			for ; revokeAndCut(t, policy, faultfs.DropAll, at); at++ {
			}
			if at < 2 {
				t.Errorf("the power was cut in %d operations only: the test proves little", at)
			}
			revokeAndCut(t, policy, faultfs.DropSome, 0)
		})
	}
}

// revokeAndCut revokes a key and cuts the power in an operation of that, or after the answer if at is
// 0. It returns false once the answer comes before the cut.
func revokeAndCut(t *testing.T, policy string, loss faultfs.Loss, at int) bool {
	t.Helper()
	r := newRevocation(t, policy, faultfs.New(uint64(at)))
	if at > 0 {
		r.fs.CutAt(at)
	}
	err := r.revoke()
	r.cut(loss)
	defer r.engine.Close()
	if err == nil && r.good(0) {
		t.Errorf("cut in operation %d: the key was revoked, and is good again", at)
	}
	if !r.good(1) {
		t.Errorf("cut in operation %d: the other key is lost", at)
	}
	return at == 0 || err != nil
}

// While the disk is full a revocation must be refused, and not be answered and lost; once there is room
// it must be possible. What was revoked before must stay so.
func TestRevocationOnAFullDisk(t *testing.T) {
	r := newRevocation(t, "interval", faultfs.New(1))
	defer func() { _ = r.engine.Close() }()
	must(t, r.revoke())
	r.fs.Limit(1)
	value := make([]byte, 64<<10)
	gate.Until(t, func() bool { // the rest of the segment is filled
		_, err := r.engine.Put(t.Context(), "a", value)
		return errors.Is(err, kv.ErrDiskFull)
	}, "the disk is not full")
	r.id = auth.HashOf(r.secrets[1]).ID()
	if err := r.revoke(); !errors.Is(err, kv.ErrDiskFull) {
		t.Errorf("got %v, want %v", err, kv.ErrDiskFull)
	}
	if r.good(0) || !r.good(1) {
		t.Errorf("while the disk is full: the keys are good: %v, %v, want the second only", r.good(0), r.good(1))
	}
	r.fs.Limit(1 << 40)
	gate.Until(t, func() bool { return r.revoke() == nil }, "the key is not revoked although there is room")
	r.cut(faultfs.DropAll)
	if r.good(0) || r.good(1) {
		t.Errorf("after the cut: the keys are good: %v, %v, want none", r.good(0), r.good(1))
	}
}
