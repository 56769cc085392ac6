package auth_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"golang.org/x/crypto/bcrypt"

	"keywatch/auth"
)

var scanner = regexp.MustCompile(`\bkw[ks]_[0-9A-Za-z]{49}\b`)

// A secret must be found by scanners, and one that lost or changed a character must be known as
// such without looking it up.
func TestSecrets(t *testing.T) {
	seen := map[string]bool{}
	for i := range 200 {
		kind := auth.Key + auth.Kind(i%2)
		text := auth.NewSecret(kind)
		got, err := auth.CheckSecret(text)
		if err != nil || got != kind || seen[text] || scanner.FindString("x "+text+".") != text {
			t.Fatalf("%q: got %v, %v, want %v", text, got, err, kind)
		}
		seen[text] = true
		damaged := []byte(text)
		damaged[4+i%49]++
		for _, bad := range []string{string(damaged), text[:i%53], text + "0", strings.ToUpper(text), " " + text, text[:52] + "-"} {
			if _, err := auth.CheckSecret(bad); !errors.Is(err, auth.ErrMalformed) {
				t.Errorf("%q: got %v, want %v", bad, err, auth.ErrMalformed)
			}
		}
		id := auth.HashOf(text).ID()
		if again, ok := auth.ParseCredID(id.String()); !ok || again != id || len(id.String()) != 16 {
			t.Errorf("id %v is read as %v, %v", id, again, ok)
		}
		if _, err := auth.CheckSecret(id.String()); err == nil {
			t.Errorf("id %v passes for a credential", id)
		}
	}
}

// Whatever the text, it is refused without a panic, or is a secret whose kind its beginning says.
func FuzzCheckSecret(f *testing.F) {
	f.Add(auth.NewSecret(auth.Key))
	f.Add(auth.NewSecret(auth.Session))
	f.Add("kwk_")
	f.Fuzz(func(t *testing.T, s string) {
		if kind, err := auth.CheckSecret(s); err == nil && !strings.HasPrefix(s, map[auth.Kind]string{auth.Key: "kwk_", auth.Session: "kws_"}[kind]) {
			t.Errorf("%q passes for a %v", s, kind)
		}
	})
}

// A password must match its hash and no other, whatever made the hash, and hashes that are weaker
// than new ones must be replaced.
func TestPasswords(t *testing.T) {
	p := auth.NewPasswords()
	text, err := p.Hash(t.Context(), "correct horse")
	if err != nil || !strings.HasPrefix(text, "$argon2id$v=19$m=19456,t=2,p=1$") {
		t.Fatalf("got %q, %v", text, err)
	}
	old, err := bcrypt.GenerateFromPassword([]byte("correct horse"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	weak := "$argon2id$v=19$m=64,t=1,p=1$c2FsdHNhbHQ$AAAAAAAAAAAAAAAAAAAAAA"
	for _, c := range []struct {
		name, text, password string
		ok, fresh            bool
	}{
		{"right", text, "correct horse", true, false},
		{"wrong", text, "correct horsf", false, false},
		{"empty", text, "", false, false},
		{"long", text, strings.Repeat("x", 5000), false, false},
		{"no user", "", "correct horse", false, false},
		{"garbage", "$argon2id$", "correct horse", false, false},
		{"weak and wrong", weak, "correct horse", false, false},
		{"bcrypt", string(old), "correct horse", true, true},
		{"bcrypt, wrong", string(old), "correct horsf", false, false},
	} {
		before := p.Hashed()
		ok, fresh, err := p.Verify(t.Context(), c.text, c.password)
		if err != nil || ok != c.ok || (fresh != "") != c.fresh {
			t.Errorf("%s: got %v, %q, %v", c.name, ok, fresh, err)
		}
		if n := p.Hashed() - before; n != 1 {
			t.Errorf("%s: %d hashes were made, want one whatever the name", c.name, n)
		}
		if fresh != "" {
			if ok, _, _ := p.Verify(t.Context(), fresh, c.password); !ok {
				t.Errorf("%s: the fresh hash does not match", c.name)
			}
		}
	}
	for _, bad := range []string{"short", strings.Repeat("x", auth.PasswordMax+1)} {
		if _, err := p.Hash(t.Context(), bad); !errors.Is(err, auth.ErrBadPassword) {
			t.Errorf("%d bytes: got %v, want %v", len(bad), err, auth.ErrBadPassword)
		}
	}
}

// If this failed, many logins at once would take the memory and the processor from everyone else.
func TestLoginsAreHashedOneAtATime(t *testing.T) {
	p := auth.NewPasswords()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var wait sync.WaitGroup
	var mu sync.Mutex
	busy := 0
	for range 50 {
		wait.Go(func() {
			_, _, err := p.Verify(ctx, "", "x")
			if err != nil && !errors.Is(err, auth.ErrLoginBusy) && !errors.Is(err, auth.ErrLoginLate) {
				t.Errorf("got %v, want nothing or that it waited in vain", err)
			}
			if errors.Is(err, auth.ErrLoginBusy) {
				mu.Lock()
				defer mu.Unlock()
				if busy++; busy == 17 { // all that there is no room for
					cancel()
				}
			}
		})
	}
	wait.Wait()
	if busy != 17 || p.Waiting() != 0 {
		t.Errorf("%d of 50 were refused, and %d wait still; want 17, and none", busy, p.Waiting())
	}
}

// Whatever the text, it is no hash, or one that is bounded in what it asks for.
func FuzzVerify(f *testing.F) {
	for _, s := range []string{"$argon2id$v=19$m=64,t=1,p=1$c2FsdHNhbHQ$AAAAAAAAAAAAAAAAAAAAAA", "$2b$04$", "$argon2id$v=19$m=4294967295,t=1,p=1$c2FsdHNhbHQ$AAAA"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if err := auth.CheckHash(s); err != nil && !errors.Is(err, auth.ErrBadHash) {
			t.Errorf("got %v, want %v", err, auth.ErrBadHash)
		}
	})
}

// A record must open under its own name, with its own key, and whole only.
func TestSeal(t *testing.T) {
	s := auth.NewSealer()
	if _, err := s.Seal("user/u-1", []byte("x")); !errors.Is(err, auth.ErrSealed) {
		t.Errorf("without a data key: got %v, want %v", err, auth.ErrSealed)
	}
	if err := s.Add(1, auth.NewDataKey()); err != nil {
		t.Fatal(err)
	}
	first, err := s.Seal("user/u-1", []byte("secret text"))
	if err != nil || strings.Contains(string(first), "secret") {
		t.Fatalf("got %q, %v", first, err)
	}
	if err := s.Add(2, auth.NewDataKey()); err != nil {
		t.Fatal(err)
	}
	second, _ := s.Seal("user/u-1", []byte("secret text"))
	for _, sealed := range [][]byte{first, second} { // the earlier key still opens
		if plain, err := s.Open("user/u-1", sealed); err != nil || string(plain) != "secret text" {
			t.Errorf("got %q, %v", plain, err)
		}
		if _, err := s.Open("user/u-2", sealed); !errors.Is(err, auth.ErrSealed) {
			t.Errorf("under another name: got %v, want %v", err, auth.ErrSealed)
		}
		for i := range sealed {
			damaged := append([]byte(nil), sealed...)
			damaged[i] ^= 1
			if _, err := s.Open("user/u-1", damaged); !errors.Is(err, auth.ErrSealed) {
				t.Errorf("byte %d changed: got %v, want %v", i, err, auth.ErrSealed)
			}
			if _, err := s.Open("user/u-1", sealed[:i]); !errors.Is(err, auth.ErrSealed) {
				t.Errorf("cut to %d bytes: got %v, want %v", i, err, auth.ErrSealed)
			}
		}
	}
	s.Remove(1)
	if _, err := s.Open("user/u-1", first); !errors.Is(err, auth.ErrSealed) {
		t.Errorf("without its data key: got %v, want %v", err, auth.ErrSealed)
	}
}

// A data key must come out of its wrapping with the same sealing key and name only.
func TestWrappers(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "auth.key")
	if _, err := auth.WrapperFromFile(path); !errors.Is(err, auth.ErrNoSealKey) {
		t.Errorf("no file: got %v, want %v", err, auth.ErrNoSealKey)
	}
	if err := auth.MakeSealKey(path); err != nil {
		t.Fatal(err)
	}
	if err := auth.MakeSealKey(path); err == nil {
		t.Error("a sealing key was replaced")
	}
	file, err := auth.WrapperFromFile(path)
	if err != nil {
		t.Fatal(err)
	}
	other, err := auth.WrapperOf(auth.NewSealKey())
	if err != nil {
		t.Fatal(err)
	}
	key := auth.NewDataKey()
	for name, w := range map[string]auth.Wrapper{"file": file, "other": other} {
		wrapped, err := w.Wrap("dek/1", key)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if got, err := w.Unwrap("dek/1", wrapped); err != nil || string(got) != string(key) {
			t.Errorf("%s: got %x, %v, want %x", name, got, err, key)
		}
		if _, err := w.Unwrap("dek/2", wrapped); !errors.Is(err, auth.ErrSealed) {
			t.Errorf("%s: under another name: got %v, want %v", name, err, auth.ErrSealed)
		}
		if wrong := map[string]auth.Wrapper{"file": other, "other": file}[name]; wrong != nil {
			if _, err := wrong.Unwrap("dek/1", wrapped); !errors.Is(err, auth.ErrSealed) {
				t.Errorf("%s: with another sealing key: got %v, want %v", name, err, auth.ErrSealed)
			}
		}
	}
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := auth.WrapperFromFile(path); err == nil || !strings.Contains(err.Error(), "0600") {
		t.Errorf("a file that others may read: got %v, want it to be refused", err)
	}
	if _, err := auth.WrapperOf("short"); err == nil {
		t.Error("a short sealing key was accepted")
	}
}

// A command must be given the key on its input, and what it refuses must be an error.
func TestCommandWraps(t *testing.T) {
	script := filepath.Join(t.TempDir(), "kms")
	body := "#!/bin/sh\ncase $1 in wrap) sed 's/^/AAAA/';; unwrap) sed 's/^AAAA//';; esac\n"
	if err := os.WriteFile(script, []byte(body), 0o700); err != nil {
		t.Fatal(err)
	}
	w, key := auth.WrapperFromCommand(script), auth.NewDataKey()
	wrapped, err := w.Wrap("dek/1", key)
	if err != nil || len(wrapped) != auth.KeySize+3 {
		t.Fatalf("got %x, %v", wrapped, err)
	}
	if got, err := w.Unwrap("dek/1", wrapped); err != nil || string(got) != string(key) {
		t.Errorf("got %x, %v, want %x", got, err, key)
	}
	if _, err := auth.WrapperFromCommand("/bin/false").Unwrap("dek/1", wrapped); !errors.Is(err, auth.ErrSealed) {
		t.Errorf("a command that fails: got %v, want %v", err, auth.ErrSealed)
	}
	if _, err := auth.WrapperFromCommand("/bin/echo").Wrap("dek/1", key); !errors.Is(err, auth.ErrSealed) {
		t.Errorf("a command that writes text: got %v, want %v", err, auth.ErrSealed)
	}
}

// A name must be compared without case, and have nothing that leaves its segment of a key.
func TestNames(t *testing.T) {
	for in, want := range map[string]string{"Ann": "ann", "a.b@c-d_1": "a.b@c-d_1", "7": "7"} {
		if got, err := auth.FoldName(in); err != nil || got != want {
			t.Errorf("%q: got %q, %v, want %q", in, got, err, want)
		}
	}
	for _, bad := range []string{"", ".", "..", "a/b", "-a", "é", "a b", "a*", "a\x00", strings.Repeat("a", 65)} {
		if got, err := auth.FoldName(bad); !errors.Is(err, auth.ErrBadName) {
			t.Errorf("%q: got %q, %v, want %v", bad, got, err, auth.ErrBadName)
		}
	}
}

// A ticket must be read as it was signed, by the keys that are known only, and unchanged only.
func TestTickets(t *testing.T) {
	key := auth.TicketKey{Number: 3, Secret: []byte("0123456789abcdef0123456789abcdef")}
	keys := func(n uint64) (auth.TicketKey, bool) { return key, n == 3 }
	want := auth.TicketInfo{
		Cred: auth.CredID{1, 2}, Expires: 1_800_000_000_000, Reuse: true, Epoch: 7,
		Keys: []string{"a", "b/c"}, Prefixes: []string{"", "p/"}, Origin: "https://example.com",
	}
	text := key.Sign(want)
	got, err := auth.ParseTicket(text, keys)
	want.Nonce = got.Nonce
	if err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
		t.Fatalf("got %+v, %v, want %+v", got, err, want)
	}
	if again, _ := auth.ParseTicket(key.Sign(want), keys); again.Nonce == got.Nonce {
		t.Error("two tickets have one nonce")
	}
	for i := 4; i < len(text); i++ {
		for _, c := range []byte{'A', 'B', '_'} {
			b := []byte(text)
			if b[i] == c {
				continue
			}
			b[i] = c
			if _, err := auth.ParseTicket(string(b), keys); !errors.Is(err, auth.ErrMalformed) {
				t.Errorf("character %d changed: got %v, want %v", i, err, auth.ErrMalformed)
			}
		}
		if _, err := auth.ParseTicket(text[:i], keys); !errors.Is(err, auth.ErrMalformed) {
			t.Errorf("cut to %d: got %v, want %v", i, err, auth.ErrMalformed)
		}
	}
	other := auth.TicketKey{Number: 3, Secret: []byte("another key of as many characters")}
	if _, err := auth.ParseTicket(other.Sign(want), keys); !errors.Is(err, auth.ErrMalformed) {
		t.Errorf("signed with another key: got %v", err)
	}
}

// Whatever the text, it is refused without a panic.
func FuzzParseTicket(f *testing.F) {
	key := auth.TicketKey{Number: 3, Secret: []byte("0123456789abcdef0123456789abcdef")}
	f.Add(key.Sign(auth.TicketInfo{Keys: []string{"a"}}))
	f.Add("kwt_")
	f.Fuzz(func(t *testing.T, s string) {
		_, _ = auth.ParseTicket(s, func(uint64) (auth.TicketKey, bool) { return key, true })
	})
}

func BenchmarkHashOfSecret(b *testing.B) {
	text := auth.NewSecret(auth.Key)
	for b.Loop() {
		auth.HashOf(text)
	}
}

func BenchmarkParseTicket(b *testing.B) {
	key := auth.TicketKey{Number: 3, Secret: []byte("0123456789abcdef0123456789abcdef")}
	text := key.Sign(auth.TicketInfo{Keys: []string{"sensors/1"}})
	for b.Loop() {
		if _, err := auth.ParseTicket(text, func(uint64) (auth.TicketKey, bool) { return key, true }); err != nil {
			b.Fatal(err)
		}
	}
}
