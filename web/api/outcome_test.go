package api_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"keywatch/auth"
	"keywatch/kv"
	"keywatch/web/api"
)

// If an outcome had another code on one protocol, or the index of a check that the
// caller never wrote, clients could not act on it.
func TestOutcome(t *testing.T) {
	params := func() kv.Params {
		return kv.Params{DeleteMax: 11, IdemPerCaller: 12, IdemMax: 13, LeaseMax: 14, LeasePerCaller: 15, LeaseKeys: 16}
	}
	c := &kv.Command{Checks: []kv.Check{{Key: "a"}, {Key: "b"}}, Fences: []kv.Fence{{Lock: "l0"}, {Lock: "l1"}}}
	lease := &kv.Command{Lease: &kv.LeaseCommand{ID: kv.NewLeaseID()}}
	lock := &kv.Command{Lock: &kv.LockCommand{Name: "deploy"}}
	for _, want := range []struct {
		c       *kv.Command
		outcome kv.Outcome
		batch   bool
		code    api.Code
		limit   int
		key     string
		index   bool
	}{
		{c, kv.CheckFailed, true, "check_failed", 0, "b", true},
		{c, kv.CheckFailed, false, "compare_failed", 0, "b", false},
		{c, kv.FenceLost, false, "fence_lost", 0, "locks/l1", true},
		{c, kv.TooMany, false, "batch_too_large", 11, "", false},
		{c, kv.IdemMismatch, false, "idempotency_mismatch", 0, "", false},
		{c, kv.IdemCallerFull, false, "rate_limited", 12, "", false},
		{c, kv.IdemFull, false, "memory_full", 13, "", false},
		{c, kv.LeaseFull, false, "memory_full", 14, "", false},
		{c, kv.LeaseCallerFull, false, "rate_limited", 15, "", false},
		{c, kv.LeaseKeysFull, true, "batch_too_large", 16, "", true},
		{c, kv.LeaseKeysFull, false, "batch_too_large", 16, "", false},
		{c, kv.LeaseEnded, true, "lease_ended", 0, "", true},
		{lease, kv.LeaseEnded, false, "lease_not_found", 0, "", false},
		{lock, kv.LockHeld, false, "lock_held", 0, "locks/deploy", false},
		{lock, kv.LockLost, false, "lock_lost", 0, "locks/deploy", false},
		{lock, kv.LockFree, false, "lock_not_held", 0, "", false},
	} {
		err := api.Outcome(want.c, &kv.Result{Outcome: want.outcome, Failed: 1}, params, want.batch)
		f, ok := errors.AsType[*api.Failure](err)
		if !ok || f.Code != want.code || f.Limit != want.limit || f.Key != want.key || f.HasIndex != want.index || f.HasIndex && f.Index != 1 {
			t.Errorf("outcome %v: got %+v, want %+v", want.outcome, f, want)
		}
	}
}

// If success asked for the state's parameters, every write would take the state's
// lock once more.
func TestSuccessAsksForNothing(t *testing.T) {
	for _, outcome := range []kv.Outcome{kv.Committed, kv.ElseRan} {
		if err := api.Outcome(&kv.Command{}, &kv.Result{Outcome: outcome}, nil, true); err != nil {
			t.Errorf("outcome %v: %v", outcome, err)
		}
	}
}

// An error must show its code and nothing of the inside; a limit that was exceeded
// must be named.
func TestFailureOf(t *testing.T) {
	limits := kv.Limits{Value: 7, Command: 8}
	for _, c := range []struct {
		err    error
		code   api.Code
		detail string
		limit  int
	}{
		{errors.New("/secret/path: no such file"), "internal", "internal error", 0},
		{fmt.Errorf("put: %w", kv.ErrValueTooLarge), "value_too_large", "", 7},
		{kv.ErrBatchTooLarge, "batch_too_large", "", 8},
		{api.Refuse(api.CodeBadKey, "no %s", "key"), "bad_key", "no key", 0},
		{api.ReadError(context.DeadlineExceeded), "no_leader", "", 0},
		{api.ColdError(context.Canceled), "tier_unavailable", "", 0},
		{context.DeadlineExceeded, "outcome_unknown", "", 0},
		{auth.ErrLoginBusy, "too_many_logins", "", 0},
		{auth.ErrLoginLate, "too_many_logins", "", 0}, // nothing was done, so that its outcome is known
		{api.ErrTooManyStreams, "too_many_connections", "", 0},
	} {
		f := api.FailureOf(api.WithLimit(c.err, limits))
		if f.Code != c.code || f.Limit != c.limit || c.detail != "" && f.Detail != c.detail {
			t.Errorf("%v: got %+v, want %s, %q, limit %d", c.err, f, c.code, c.detail, c.limit)
		}
		if !errors.Is(f, c.err) && f.Cause != nil {
			t.Errorf("%v: the cause is lost", c.err)
		}
	}
}

// codeOf returns the code of an error, none of success.
func codeOf(err error) api.Code {
	if err == nil {
		return ""
	}
	return api.FailureOf(err).Code
}
