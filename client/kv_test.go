package client_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"keywatch/app"
	"keywatch/client"
	"keywatch/test/gate"
)

// If this failed, the simplest program with keywatch would not work.
func TestKeys(t *testing.T) {
	ctx, c := gate.Context(t), connect(t, serve(t, app.ServeConfig{}).url)
	for _, key := range []string{"a", "dir/ключ with ?#%+ &", "z%2Fz"} {
		value := []byte("v\x00\xff" + key)
		did, err := c.Put(ctx, key, value, client.TTL(time.Hour))
		if err != nil || !did.Created || did.Version != 1 {
			t.Fatalf("put %q: %+v, %v; want it created", key, did, err)
		}
		e, err := c.Get(ctx, key)
		if err != nil || !bytes.Equal(e.Value, value) || e.Rev != did.Rev || e.CreateRev != did.Rev || e.Version != 1 {
			t.Errorf("get %q: %+v, %v; want what was put in %+v", key, e, err, did)
		}
		if e.TTL <= 0 || e.TTL > time.Hour || e.Tier != "memory" {
			t.Errorf("get %q: ttl %v, tier %q", key, e.TTL, e.Tier)
		}
		if existed, err := c.Delete(ctx, key); err != nil || !existed {
			t.Errorf("delete %q: %v, %v", key, existed, err)
		}
		if existed, err := c.Delete(ctx, key); err != nil || existed {
			t.Errorf("delete %q again: %v, %v; want nothing to delete", key, existed, err)
		}
		var e2 *client.Error
		if _, err := c.Get(ctx, key, client.Local()); !errors.Is(err, client.ErrNotFound) || !errors.As(err, &e2) || e2.Status != 404 {
			t.Errorf("get %q after it was deleted: %v; want ErrNotFound", key, err)
		}
	}
}

// If a condition that does not hold changed something, or one that holds were
// refused, no program could share a key with another.
func TestConditions(t *testing.T) {
	ctx, c := gate.Context(t), connect(t, serve(t, app.ServeConfig{}).url)
	first, err := c.CompareAndSwap(ctx, "k", client.IfAbsent(), []byte("1"))
	if err != nil {
		t.Fatal(err)
	}
	for _, cond := range []client.Condition{
		client.IfAbsent(), client.IfRev(first.Rev + 1), client.IfRev(0), client.IfValue([]byte("2")), client.IfValue(nil), client.IfValue([]byte("\xff")),
		client.IfETag("7f3a9c21-1"),
	} {
		var e *client.Error
		_, err := c.CompareAndSwap(ctx, "k", cond, []byte("no"))
		if !errors.Is(err, client.ErrConflict) || !errors.As(err, &e) || e.Current == nil || string(e.Current.Value) != "1" {
			t.Errorf("swap if %+v: %v; want a conflict that shows 1", cond, err)
		}
		if _, err := c.Delete(ctx, "k", client.If(cond)); !errors.Is(err, client.ErrConflict) {
			t.Errorf("delete if %+v: %v; want a conflict", cond, err)
		}
	}
	for i, cond := range []client.Condition{client.IfRev(first.Rev), client.IfValue([]byte("1")), client.IfExists(), {}} {
		did, err := c.Put(ctx, "k", []byte("1"), client.If(cond))
		if err != nil || did.Version != uint64(i+2) || did.Created {
			t.Errorf("put if %+v: %+v, %v; want version %d", cond, did, err, i+2)
		}
		// The tag of each write is that of the key, and the condition for the next.
		if e, err := c.Get(ctx, "k"); i > 0 && (err != nil || did.ETag == "" || e.ETag != did.ETag) {
			t.Errorf("put if %+v: etag %s, want %s (%v)", cond, did.ETag, e.ETag, err)
		}
	}
	for _, cond := range []client.Condition{client.IfRev(first.Rev), client.IfExists(), client.IfValue([]byte("")), client.IfETag("7f3a9c21-1")} {
		if _, err := c.Put(ctx, "absent", nil, client.If(cond)); !errors.Is(err, client.ErrConflict) {
			t.Errorf("put of an absent key if %+v: %v; want a conflict", cond, err)
		}
	}
	if _, err := c.Put(ctx, "absent", nil, client.If(client.IfRev(0)), client.TTL(time.Minute)); err != nil {
		t.Errorf("put of an absent key if revision 0: %v", err)
	}
}

// If the tag of a write were not that of the key, or a condition on it held for another
// version, a change between two requests would be overwritten.
func TestETags(t *testing.T) {
	ctx, c := gate.Context(t), connect(t, serve(t, app.ServeConfig{}).url)
	first, err := c.Put(ctx, "k", []byte("1"))
	if err != nil {
		t.Fatal(err)
	}
	e, err := c.Get(ctx, "k")
	if err != nil || e.ETag != first.ETag {
		t.Fatalf("etag %s, %v; want %s", e.ETag, err, first.ETag)
	}
	if did, err := c.Put(ctx, "k", []byte("2"), client.If(client.IfETag(e.ETag))); err != nil || did.Version != e.Version+1 {
		t.Errorf("put if %s: %+v, %v; want version %d", e.ETag, did, err, e.Version+1)
	}
	if existed, err := c.Delete(ctx, "k", client.If(client.IfETag(strings.Trim(e.ETag, `"`)))); !errors.Is(err, client.ErrConflict) {
		t.Errorf("delete if %s: %v, %v; want a conflict", e.ETag, existed, err)
	}
	if existed, err := c.Delete(ctx, "k", client.If(client.IfValue([]byte("2")))); err != nil || !existed {
		t.Errorf("delete if 2: %v, %v", existed, err)
	}
}

// If a list lost or doubled keys at the end of a page, no copy could be right.
func TestList(t *testing.T) {
	ctx, c := gate.Context(t), connect(t, serve(t, app.ServeConfig{}).url)
	var b client.Batch
	for i := range 25 {
		b.Ops = append(b.Ops, client.OpPut(fmt.Sprintf("l/%02d", i), []byte{byte(i), 0xff}))
	}
	if _, err := c.Batch(ctx, b); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Put(ctx, "m", nil); err != nil {
		t.Fatal(err)
	}
	for _, list := range []struct {
		opts []client.ReadOption
		want int
	}{
		{nil, 25},
		{[]client.ReadOption{client.PageSize(1)}, 25},
		{[]client.ReadOption{client.PageSize(5)}, 25},
		{[]client.ReadOption{client.PageSize(7), client.KeysOnly()}, 25},
		{[]client.ReadOption{client.PageSize(4), client.Limit(9)}, 9},
		{[]client.ReadOption{client.Limit(3), client.Local()}, 3},
	} {
		n := 0
		for e, err := range c.List(ctx, "l/", list.opts...) {
			if err != nil {
				t.Fatal(err)
			}
			if e.Key != fmt.Sprintf("l/%02d", n) || e.Value != nil && !bytes.Equal(e.Value, []byte{byte(n), 0xff}) {
				t.Fatalf("entry %d is %+v", n, e)
			}
			n++
		}
		if n != list.want {
			t.Errorf("%d entries, want %d", n, list.want)
		}
	}
	deleted, err := c.DeletePrefix(ctx, "l/")
	if err != nil || deleted != 25 {
		t.Errorf("delete of the prefix: %d, %v; want 25", deleted, err)
	}
	var e *client.Error
	if _, err := c.DeletePrefix(ctx, ""); !errors.As(err, &e) || e.Code != "prefix_required" {
		t.Errorf("delete of everything unasked: %v", err)
	}
	if deleted, err := c.DeletePrefix(ctx, "", client.Everything()); err != nil || deleted != 1 {
		t.Errorf("delete of everything: %d, %v; want 1", deleted, err)
	}
}
