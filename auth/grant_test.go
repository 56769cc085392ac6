package auth_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"keywatch/auth"
	"keywatch/kv"
)

func mustGrants(t testing.TB, user string, texts ...string) *auth.Grants {
	t.Helper()
	return auth.NewGrants(user, grants(t, texts...))
}

func grants(t testing.TB, texts ...string) (all []auth.Grant) {
	t.Helper()
	for _, text := range texts {
		g, err := auth.ParseGrant(text)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, g)
	}
	return all
}

// A target must mean what its text says: that key, all below it, or all that begin with it.
func TestTargets(t *testing.T) {
	g := mustGrants(t, "ann", "read:target", "read:sensors/", "write:app*", "watch:*", "write:home/{user}/", "read:home/{user}", "lock:deploy", "lease,metrics")
	for _, c := range []struct {
		what string
		got  bool
		want bool
	}{
		{"read target", g.Key(auth.Read, "target"), true},
		{"read target2", g.Key(auth.Read, "target2"), false},
		{"read target/x", g.Key(auth.Read, "target/x"), false},
		{"read sensors/1", g.Key(auth.Read, "sensors/1"), true},
		{"read sensors", g.Key(auth.Read, "sensors"), false},
		{"read sensors2/1", g.Key(auth.Read, "sensors2/1"), false},
		{"write app", g.Key(auth.Write, "app"), true},
		{"write app/x", g.Key(auth.Write, "app/x"), true},
		{"write apple", g.Key(auth.Write, "apple"), true},
		{"write ap", g.Key(auth.Write, "ap"), false},
		{"watch anything", g.Key(auth.Watch, "x/y"), true},
		{"write own home", g.Key(auth.Write, "home/ann/x"), true},
		{"write another's home", g.Key(auth.Write, "home/annie/x"), false},
		{"read own home key", g.Key(auth.Read, "home/ann"), true},
		{"list sensors/", g.Under(auth.Read, "sensors/"), true},
		{"list sensors/a", g.Under(auth.Read, "sensors/a"), true},
		{"list sensors", g.Under(auth.Read, "sensors"), false},
		{"list target", g.Under(auth.Read, "target"), false},
		{"list all", g.Under(auth.Read, ""), false},
		{"watch all", g.Under(auth.Watch, ""), true},
		{"delete app", g.Under(auth.Write, "app"), true},
		{"lock deploy", g.Key(auth.Lock, "deploy"), true},
		{"lock deploy2", g.Key(auth.Lock, "deploy2"), false},
		{"lease", g.Can(auth.Lease), true},
		{"admin", g.Can(auth.Admin), false},
		{"backup", g.Can(auth.Backup), false},
	} {
		if c.got != c.want {
			t.Errorf("%s: got %v, want %v", c.what, c.got, c.want)
		}
	}
	admin := mustGrants(t, "", "admin")
	if !admin.Under(auth.Write, "") || !admin.Can(auth.Backup) || !admin.Key(auth.Lock, "l") {
		t.Error("admin does not imply all")
	}
	if g := mustGrants(t, "", "read:home/{user}/"); !g.Empty() || !new(auth.Grants).Empty() {
		t.Error("a grant for the user counts for one without a name")
	}
	if admin.Empty() || mustGrants(t, "", "lease").Empty() || mustGrants(t, "", "read:a").Empty() {
		t.Error("grants that allow something are called empty")
	}
}

// What is no grant must be refused, and what is one written as it was read.
func TestGrantTexts(t *testing.T) {
	for _, text := range []string{"read,watch:sensors/", "write:sensors/{user}/", "read:*", "read:app*", "lease,metrics", "admin", "lock:deploy", "read:é/"} {
		g, err := auth.ParseGrant(text)
		if err != nil || g.String() != text {
			t.Errorf("%q: got %q, %v", text, g, err)
		}
	}
	for _, text := range []string{
		"", ":", "read", "read:", "lease:a", "lease,read", "lease,read:a", "reads:a", "read,read:a", "read: a/../b", "read:a//b",
		"read:/a", "read:a/./", "read:a\x00", "read:\xff", "read:{x}/", "read:{user", "read:a}", "READ:a", "read ,watch:a", ",:a", "read,:a",
		"read:" + strings.Repeat("k", 1025), "admin:a", "read:" + strings.Repeat("k", 1000) + "{user}",
	} {
		if g, err := auth.ParseGrant(text); !errors.Is(err, auth.ErrBadGrant) {
			t.Errorf("%q: got %+v, %v, want %v", text, g, err, auth.ErrBadGrant)
		}
	}
	var star auth.Grant
	if err := json.Unmarshal([]byte(`{"verbs":["read"],"key":"a*"}`), &star); err != nil {
		t.Fatal(err)
	}
	g := auth.NewGrants("", []auth.Grant{star})
	if !g.Key(auth.Read, "a*") || g.Key(auth.Read, "ab") || g.Under(auth.Read, "a") {
		t.Errorf("the key a*: got %+v", star)
	}
	for _, bad := range []string{`{"verbs":["read"]}`, `{"verbs":["read"],"key":"a","prefix":"b"}`, `{"key":"a"}`, `{"verbs":["lease"],"key":"a"}`, `{"verbs":["read"],"key":"a","x":1}`, `3`} {
		if err := json.Unmarshal([]byte(bad), &star); !errors.Is(err, auth.ErrBadGrant) {
			t.Errorf("%s: got %v, want %v", bad, err, auth.ErrBadGrant)
		}
	}
}

// smallKeys are all keys of a small alphabet: what a prefix covers among them is what it covers.
var smallKeys = func() (keys []string) {
	for _, a := range []string{"a", "b", "ab", "aa"} {
		keys = append(keys, a)
		for _, b := range []string{"a", "b", "c*"} {
			keys = append(keys, a+"/"+b, a+"/"+b+"/a", a+b)
		}
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}()

func drawGrant(t *rapid.T) auth.Grant {
	g := auth.Grant{Verbs: []auth.Verb{rapid.SampledFrom([]auth.Verb{auth.Read, auth.Watch, auth.Write}).Draw(t, "verb")}}
	key := rapid.SampledFrom(smallKeys).Draw(t, "key")
	if rapid.Bool().Draw(t, "under") {
		g.Under, g.Prefix = true, key[:rapid.IntRange(0, len(key)).Draw(t, "length")]
	} else {
		g.Key = key
	}
	return g
}

func allows(g auth.Grant, v auth.Verb, key string) bool {
	return slices.Contains(g.Verbs, v) && (g.Under && strings.HasPrefix(key, g.Prefix) || !g.Under && key == g.Key)
}

// A key must be allowed iff one grant says so. A prefix must be allowed iff every key that could
// match is, those that no one wrote yet too.
func TestCoverIsExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all := rapid.SliceOfN(rapid.Custom(drawGrant), 0, 8).Draw(t, "grants")
		own := rapid.SliceOfN(rapid.Custom(drawGrant), 0, 8).Draw(t, "own grants")
		bounded := rapid.Bool().Draw(t, "bounded")
		g := auth.NewGrants("ann", all)
		if bounded {
			g = g.Within(auth.NewGrants("ann", own))
		}
		want := func(v auth.Verb, key string) bool {
			one := func(list []auth.Grant) bool {
				return slices.ContainsFunc(list, func(g auth.Grant) bool { return allows(g, v, key) })
			}
			return one(all) && (!bounded || one(own))
		}
		for _, v := range []auth.Verb{auth.Read, auth.Watch, auth.Write} {
			for _, key := range smallKeys {
				if got := g.Key(v, key); got != want(v, key) {
					t.Fatalf("%v %q: got %v, want %v", v, key, got, want(v, key))
				}
				for n := range len(key) + 1 {
					prefix := key[:n]
					// Of keys that begin so there are more than any grants name: these stand for
					// them.
					every := want(v, prefix+"\x7e") && want(v, prefix+"\x7e/x")
					for _, k := range smallKeys {
						every = every && (!strings.HasPrefix(k, prefix) || want(v, k))
					}
					if got := g.Under(v, prefix); got != every {
						t.Fatalf("%v under %q: got %v, want %v", v, prefix, got, every)
					}
				}
			}
		}
	})
}

// Whatever the text, it is a grant that is written as it reads, or refused.
func FuzzParseGrant(f *testing.F) {
	for _, s := range []string{"read:a", "read,watch:a/", "lease", "write:{user}/*", "read:a*", ":", "admin", "read:\xff"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		g, err := auth.ParseGrant(s)
		if err != nil {
			if !errors.Is(err, auth.ErrBadGrant) {
				t.Errorf("got %v, want %v", err, auth.ErrBadGrant)
			}
			return
		}
		b, err := json.Marshal(g)
		if err != nil {
			t.Fatal(err)
		}
		var again auth.Grant
		if err := json.Unmarshal(b, &again); err != nil || fmt.Sprint(again) != fmt.Sprint(g) {
			t.Errorf("%q: %s is read as %v, %v", s, b, again, err)
		}
		if !g.Under && g.Key != "" && !strings.Contains(g.Key, "{user}") && kv.CheckKey(g.Key) != nil {
			t.Errorf("%q allows %q, which is no key", s, g.Key)
		}
	})
}

func BenchmarkKeyOf256Grants(b *testing.B) {
	var texts []string
	for i := range 256 {
		texts = append(texts, fmt.Sprintf("read:tenant-%03d/area/", i))
	}
	g := mustGrants(b, "ann", texts...)
	for b.Loop() {
		if !g.Key(auth.Read, "tenant-177/area/sensor-12") {
			b.Fatal("denied")
		}
	}
}
