package auth_test

import (
	"errors"
	"reflect"
	"testing"

	"keywatch/auth"
	"keywatch/kv"
	"keywatch/kv/kvtest"
)

// An owner owns one lease and the lock that it holds.
type owner struct {
	lease kv.LeaseID
	lock  string
}

func (o owner) OwnLease(id kv.LeaseID) bool            { return id == o.lease }
func (o owner) OwnLock(name string, token kv.Rev) bool { return name == o.lock && token == 7 }

var mine, others = kv.LeaseID{1}, kv.LeaseID{2}

// looked says of every field of a command what the walker does about it. A field that is not here
// is one that it does not look at.
var looked = map[string]string{
	"Command.Fences": "lock, or read of the lock's key", "Command.Checks": "check", "Command.Ops": "op", "Command.Else": "op",
	"Command.HasElse": "nothing: Else has it all", "Command.Prefix": "write of all under it",
	"Command.Idem": "nothing: the scope is the caller", "Command.Lease": "lease", "Command.Lock": "lock",
	"Command.Refer": "denied", "Command.Private": "denied", "Command.Auth": "nothing: the door sets it",
	"Command.Logged": "nothing: it only takes a place in the log",
	"Command.Span":   "nothing: it is the server's own, for the operator",
	"Op.Kind":        "read or write", "Op.Key": "read or write", "Op.Value": "nothing: it is the caller's", "Op.TTL": "nothing: write",
	"Op.At": "nothing: write", "Op.KeepLease": "nothing: the key stays as it was attached", "Op.By": "adding is read too", "Op.When": "read",
	"Op.Lease":      "must be the caller's",
	"Command.Reads": "check by number", "Command.Parts": "each as a command", "Read.Key": "check by number", "Read.Rev": "nothing",
	"Part.Checks": "check", "Part.Ops": "op", "Part.Else": "op", "Part.HasElse": "nothing: Else has it all",
	"Check.Kind": "by value is read", "Check.Key": "read, or write if the command writes it", "Check.N": "nothing", "Check.Value": "by kind",
	"Fence.Lock": "lock, or read of the lock's key", "Fence.Token": "nothing: it is no secret",
	"LeaseCommand.Kind": "grant needs no lease", "LeaseCommand.ID": "must be the caller's", "LeaseCommand.TTL": "nothing", "LeaseCommand.Caller": "nothing: the door sets it",
	"LockCommand.Kind": "break is operate", "LockCommand.Name": "lock", "LockCommand.ID": "must be the caller's to give up",
	"LockCommand.Token": "must be the caller's to keep and release", "LockCommand.TTL": "nothing", "LockCommand.WaitTTL": "nothing",
	"LockCommand.Owner": "nothing: it is the caller's", "LockCommand.Caller": "nothing: the door sets it",
}

// If this failed, a field was added to a command, and it is not known what it needs: decide, in
// walker.go, and say it in the table.
func TestWalkerKnowsEveryField(t *testing.T) {
	seen := 0
	for _, v := range []any{kv.Command{}, kv.Op{}, kv.Check{}, kv.Fence{}, kv.Read{}, kv.Part{}, kv.LeaseCommand{}, kv.LockCommand{}} {
		typ := reflect.TypeOf(v)
		for i := range typ.NumField() {
			name := typ.Name() + "." + typ.Field(i).Name
			if looked[name] == "" {
				t.Errorf("the table does not name %s", name)
			}
			seen++
		}
	}
	if seen != len(looked) {
		t.Errorf("the table names %d fields, and there are %d", len(looked), seen)
	}
}

func leased(key string, id kv.LeaseID) kv.Op {
	op := kvtest.Put(key, "v")
	op.Lease = id
	return op
}

// What a command needs, wherever in it that stands.
func TestCommandNeeds(t *testing.T) {
	prefix := "a/"
	exists := kv.Check{Kind: kv.CheckExists, Key: "a/1", N: 1}
	put := kvtest.Put("a/1", "v")
	for _, c := range []struct {
		name    string
		command kv.Command
		grants  []string // that are enough
		need    string   // what is missing without the last of them; "" if a lease must be one's own
	}{
		{"put", kv.Command{Ops: []kv.Op{put}}, []string{"write:a/"}, "write:a/1"},
		{"delete", kv.Command{Ops: []kv.Op{kvtest.Delete("a/1")}}, []string{"write:a/"}, "write:a/1"},
		{"get", kv.Command{Ops: []kv.Op{kvtest.Get("a/1")}}, []string{"read:a/"}, "read:a/1"},
		{"second", kv.Command{Ops: []kv.Op{put, kvtest.Get("b")}}, []string{"write:a/", "read:b"}, "read:b"},
		{"else", kv.Command{Ops: []kv.Op{put}, HasElse: true, Else: []kv.Op{kvtest.Get("b")}}, []string{"write:a/", "read:b"}, "read:b"},
		{"else put", kv.Command{HasElse: true, Else: []kv.Op{kvtest.Put("b", "")}}, []string{"write:b"}, "write:b"},
		{"add", kv.Command{Ops: []kv.Op{{Kind: kv.OpAdd, Key: "a/1"}}}, []string{"write:a/", "read:a/1"}, "read:a/1"},
		{"add a float", kv.Command{Ops: []kv.Op{{Kind: kv.OpAddFloat, Key: "a/1"}}}, []string{"read:a/1", "write:a/"}, "write:a/1"},
		{"touch", kv.Command{Ops: []kv.Op{{Kind: kv.OpTouch, Key: "a/1"}}}, []string{"write:a/"}, "write:a/1"},
		{"touch if", kv.Command{Ops: []kv.Op{{Kind: kv.OpTouch, Key: "a/1", When: kv.TouchNone}}}, []string{"write:a/", "read:a/1"}, "read:a/1"},
		{"read that holds", kv.Command{Ops: []kv.Op{put}, Reads: []kv.Read{{Key: "b"}}}, []string{"write:a/", "read:b"}, "read:b"},
		{"part", kv.Command{Parts: []kv.Part{{Ops: []kv.Op{put}}, {Ops: []kv.Op{kvtest.Get("b")}}}}, []string{"write:a/", "read:b"}, "read:b"},
		{"part's else", kv.Command{Parts: []kv.Part{{HasElse: true, Else: []kv.Op{put}}}}, []string{"write:a/"}, "write:a/1"},
		{"part's check", kv.Command{Parts: []kv.Part{{Checks: []kv.Check{exists}}}}, []string{"read:a/1"}, "read:a/1"},
		{"check of another key", kv.Command{Ops: []kv.Op{put}, Checks: []kv.Check{kvtest.Revision("b", 1)}}, []string{"write:a/", "read:b"}, "read:b"},
		{"check by number", kv.Command{Ops: []kv.Op{put}, Checks: []kv.Check{exists}}, []string{"write:a/1"}, "write:a/1"},
		{"check by value", kv.Command{Ops: []kv.Op{put}, Checks: []kv.Check{kvtest.Value("a/1", "x")}}, []string{"write:a/", "read:a/1"}, "read:a/1"},
		{"check by another value", kv.Command{Ops: []kv.Op{put}, Checks: []kv.Check{{Kind: kv.CheckValueNot, Key: "a/1", Value: []byte("x")}}}, []string{"write:a/", "read:a/1"}, "read:a/1"},
		{"check beside a get", kv.Command{Ops: []kv.Op{kvtest.Get("a/1")}, Checks: []kv.Check{exists}}, []string{"read:a/1"}, "read:a/1"},
		{"check alone", kv.Command{Checks: []kv.Check{exists}}, []string{"write:a/", "read:a/1"}, "read:a/1"},
		{"check written in else", kv.Command{Checks: []kv.Check{exists}, HasElse: true, Else: []kv.Op{put}}, []string{"write:a/1"}, "write:a/1"},
		{"prefix", kv.Command{Prefix: &prefix}, []string{"write:a/1", "write:a/"}, "write:a/"},
		{"all", kv.Command{Prefix: new(string)}, []string{"write:a/", "write:*"}, "write:*"},
		{"fence", kv.Command{Ops: []kv.Op{put}, Fences: []kv.Fence{{Lock: "l"}}}, []string{"write:a/", "lock:l"}, "lock:l"},
		{"fence by read", kv.Command{Ops: []kv.Op{put}, Fences: []kv.Fence{{Lock: "l"}}}, []string{"write:a/", "read:locks/l"}, "lock:l"},
		{"fence of a prefix", kv.Command{Prefix: &prefix, Fences: []kv.Fence{{Lock: "l"}}}, []string{"write:a/", "lock:l"}, "lock:l"},
		{"fence of a lease", kv.Command{Lease: &kv.LeaseCommand{Kind: kv.LeaseGrant}, Fences: []kv.Fence{{Lock: "l"}}}, []string{"lease", "lock:l"}, "lock:l"},
		{"grant", kv.Command{Lease: &kv.LeaseCommand{Kind: kv.LeaseGrant}}, []string{"lease"}, "lease"},
		{"keep", kv.Command{Lease: &kv.LeaseCommand{Kind: kv.LeaseKeep, ID: mine}}, []string{"lease"}, "lease"},
		{"revoke", kv.Command{Lease: &kv.LeaseCommand{Kind: kv.LeaseRevoke, ID: mine}}, []string{"lease"}, "lease"},
		{"revoke another's", kv.Command{Lease: &kv.LeaseCommand{Kind: kv.LeaseRevoke, ID: others}}, []string{"lease", "admin"}, ""},
		{"keep another's", kv.Command{Lease: &kv.LeaseCommand{Kind: kv.LeaseKeep, ID: others}}, []string{"lease", "admin"}, ""},
		{"put on a lease", kv.Command{Ops: []kv.Op{leased("a/1", mine)}}, []string{"write:a/"}, "write:a/1"},
		{"acquire", kv.Command{Lock: &kv.LockCommand{Kind: kv.LockAcquire, Name: "l", ID: others}}, []string{"lock:l"}, "lock:l"},
		{"give up", kv.Command{Lock: &kv.LockCommand{Kind: kv.LockGiveUp, Name: "l", ID: mine}}, []string{"lock:l"}, "lock:l"},
		{"keep a lock", kv.Command{Lock: &kv.LockCommand{Kind: kv.LockKeep, Name: "l", Token: 7}}, []string{"lock:l"}, "lock:l"},
		{"release", kv.Command{Lock: &kv.LockCommand{Kind: kv.LockRelease, Name: "l", Token: 7}}, []string{"lock:*"}, "lock:l"},
		{"break", kv.Command{Lock: &kv.LockCommand{Kind: kv.LockBreak, Name: "l"}}, []string{"lock:l", "operate"}, "operate"},
	} {
		own := owner{mine, "l"}
		if err := mustGrants(t, "ann", c.grants...).Command(&c.command, own); err != nil {
			t.Errorf("%s with %q: got %v, want nil", c.name, c.grants, err)
		}
		err := mustGrants(t, "ann", c.grants[:len(c.grants)-1]...).Command(&c.command, own)
		denied, _ := errors.AsType[*auth.DeniedError](err)
		notOwn, _ := errors.AsType[*auth.NotOwnError](err)
		if c.need == "" && notOwn == nil || c.need != "" && (denied == nil || denied.Need != c.need) {
			t.Errorf("%s with %q: got %v, want %q to be missing", c.name, c.grants[:len(c.grants)-1], err, c.need)
		}
	}
}

// Another caller's lease must look like one that does not exist, even to an administrator of
// other things; what only the server does is for no caller.
func TestCommandsThatNoGrantAllows(t *testing.T) {
	all := mustGrants(t, "ann", "read,write,watch,lock:*", "lease,operate,backup,metrics,cluster")
	for name, c := range map[string]struct {
		command kv.Command
		outcome kv.Outcome
	}{
		"put on another's lease": {kv.Command{Ops: []kv.Op{kvtest.Get("a"), leased("a", others)}}, kv.LeaseEnded},
		"else on another's":      {kv.Command{HasElse: true, Else: []kv.Op{leased("a", others)}}, kv.LeaseEnded},
		"keep another's":         {kv.Command{Lease: &kv.LeaseCommand{Kind: kv.LeaseKeep, ID: others}}, kv.LeaseEnded},
		"give up another's":      {kv.Command{Lock: &kv.LockCommand{Kind: kv.LockGiveUp, Name: "l", ID: others}}, kv.LockLost},
		"keep another's lock":    {kv.Command{Lock: &kv.LockCommand{Kind: kv.LockKeep, Name: "m", Token: 7}}, kv.LockLost},
		"release with a guess":   {kv.Command{Lock: &kv.LockCommand{Kind: kv.LockRelease, Name: "l", Token: 8}}, kv.LockLost},
	} {
		err := all.Command(&c.command, owner{mine, "l"})
		if not, _ := errors.AsType[*auth.NotOwnError](err); not == nil || not.Outcome != c.outcome {
			t.Errorf("%s: got %v, want the answer of outcome %d", name, err, c.outcome)
		}
	}
	admin := mustGrants(t, "ann", "admin")
	for _, c := range []kv.Command{{Refer: &kv.Refer{}}, {Private: &kv.PrivateCommand{}}} {
		if _, denied := errors.AsType[*auth.DeniedError](admin.Command(&c, owner{})); !denied {
			t.Errorf("%+v: an administrator may do what only the server does", c)
		}
	}
}

// entryOf returns the newest version of a key of a state that has it.
func entryOf(t *testing.T) *kv.Entry {
	t.Helper()
	s := kv.NewState(kv.StateOptions{Presize: 1})
	op := kvtest.Put("a", "secret")
	op.TTL = 1e9
	if _, err := s.Apply(1, 1, kv.EncodeEntry(0, &kv.Command{Ops: []kv.Op{op}})); err != nil {
		t.Fatal(err)
	}
	e, _ := s.Get("a")
	return e
}

// What stood at a failed condition must be shown to those who may read it only; its numbers to
// those, too, who may write it with this command.
func TestRedact(t *testing.T) {
	byNumber, byValue := kvtest.Revision("a", 9), kvtest.Value("a", "x")
	write := []kv.Op{kvtest.Put("a", "v")}
	for _, c := range []struct {
		name    string
		command kv.Command
		outcome kv.Outcome
		grants  []string
		shown   string // "all", "numbers" or ""
	}{
		{"reader", kv.Command{Checks: []kv.Check{byNumber}, Ops: write}, kv.CheckFailed, []string{"read,write:a"}, "all"},
		{"writer", kv.Command{Checks: []kv.Check{byNumber}, Ops: write}, kv.CheckFailed, []string{"write:a"}, "numbers"},
		{"writer, else", kv.Command{Checks: []kv.Check{byNumber}, HasElse: true, Else: write}, kv.ElseRan, []string{"write:a"}, "numbers"},
		{"by value", kv.Command{Checks: []kv.Check{byValue}, Ops: write}, kv.CheckFailed, []string{"write:a"}, ""},
		{"by another value", kv.Command{Checks: []kv.Check{{Kind: kv.CheckValueNot, Key: "a", Value: []byte("x")}}, Ops: write}, kv.CheckFailed, []string{"write:a"}, ""},
		{"not written", kv.Command{Checks: []kv.Check{byNumber}}, kv.CheckFailed, []string{"write:a"}, ""},
		{"neither", kv.Command{Checks: []kv.Check{byNumber}, Ops: write}, kv.CheckFailed, []string{"write:b"}, ""},
		{"holder of a fence", kv.Command{Fences: []kv.Fence{{Lock: "l"}}}, kv.FenceLost, []string{"lock:l"}, ""},
		{"holder of a fence, reader", kv.Command{Fences: []kv.Fence{{Lock: "l"}}}, kv.FenceLost, []string{"read:locks/"}, "all"},
		{"holder of a lock", kv.Command{Lock: &kv.LockCommand{Name: "l"}}, kv.LockHeld, []string{"lock:l"}, ""},
		{"holder of a lock, reader", kv.Command{Lock: &kv.LockCommand{Name: "l"}}, kv.LockHeld, []string{"lock:l", "read:locks/l"}, "all"},
	} {
		r := kv.Result{Outcome: c.outcome, Current: entryOf(t)}
		mustGrants(t, "ann", c.grants...).Redact(&c.command, &r)
		shown := ""
		if r.Current != nil {
			shown = "numbers"
			if r.Current.Value() == "secret" && r.Current.Deadline() != 0 {
				shown = "all"
			} else if r.Current.Value() != "" || r.Current.Deadline() != 0 || !r.CurrentNoValue || r.Current.Mod != 1 {
				shown = "something else"
			}
		}
		if shown != c.shown {
			t.Errorf("%s: %q was shown, want %q", c.name, shown, c.shown)
		}
	}
}
