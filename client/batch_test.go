package client_test

import (
	"errors"
	"testing"

	"keywatch/app"
	"keywatch/client"
	"keywatch/test/gate"
)

// If the results of a batch were mixed up, a program would act on what it has
// not read.
func TestBatch(t *testing.T) {
	ctx, c := gate.Context(t), connect(t, serve(t, app.ServeConfig{}).url)
	seed, err := c.Put(ctx, "a", []byte("1"))
	if err != nil {
		t.Fatal(err)
	}
	result, err := c.Batch(ctx, client.Batch{
		Checks: []client.Check{
			client.CheckRev("a", seed.Rev), client.CheckCreateRev("a", seed.Rev), client.CheckVersion("a", 1),
			client.CheckExists("a"), client.CheckAbsent("b"), client.CheckRev("b", 0), client.CheckValue("a", []byte("1")),
		},
		Ops: []client.Op{
			client.OpGet("a"), client.OpPut("b", []byte("\xff2"), client.KeepTTL()), client.OpDelete("a"),
			client.OpDelete("c"), client.OpGet("b"), client.OpGet("c"),
		},
	})
	if err != nil || !result.Committed || len(result.Results) != 6 {
		t.Fatalf("batch: %+v, %v", result, err)
	}
	r := result.Results
	if r[0].Entry == nil || string(r[0].Entry.Value) != "1" || r[1].Written.Rev != result.Rev || !r[1].Written.Created {
		t.Errorf("get and put: %+v and %+v", r[0], r[1])
	}
	if !r[2].Deleted || r[3].Deleted || r[4].Entry == nil || string(r[4].Entry.Value) != "\xff2" || r[5].Entry != nil {
		t.Errorf("deletes and gets: %+v", r[2:])
	}
}

// If a failed check were not told from success, a program would believe in a
// change that was not made.
func TestBatchFails(t *testing.T) {
	ctx, c := gate.Context(t), connect(t, serve(t, app.ServeConfig{}).url)
	b := client.Batch{
		Checks: []client.Check{client.CheckAbsent("x"), client.CheckValue("x", []byte("y"))},
		Ops:    []client.Op{client.OpPut("x", nil)},
	}
	var e *client.Error
	if _, err := c.Batch(ctx, b); !errors.Is(err, client.ErrConflict) || !errors.As(err, &e) || e.Index != 1 || e.Current != nil {
		t.Errorf("without else: %v; want a conflict of check 1 with nothing", err)
	}
	b.Else = []client.Op{client.OpGet("x"), client.OpPut("z", nil)}
	if result, err := c.Batch(ctx, b); err != nil || result.Committed || result.Failed != 1 || result.Results[0].Entry != nil || result.Rev == 0 {
		t.Errorf("with else: %+v, %v", result, err)
	}
	if _, err := c.Batch(ctx, client.Batch{Ops: []client.Op{client.OpPut("bad\xff", nil)}}); err == nil {
		t.Error("a key that is not UTF-8 became another one on its way")
	}
	if _, err := c.Batch(ctx, client.Batch{Ops: []client.Op{client.OpPut("k", nil), client.OpPut("k", nil)}}); !errors.As(err, &e) || e.Code != "duplicate_key" {
		t.Errorf("a key written twice: %v", err)
	}
}
