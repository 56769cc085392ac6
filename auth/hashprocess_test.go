package auth_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/crypto/bcrypt"

	"keywatch/auth"
	"keywatch/test/gate"
)

// asHasher has the test's program be the process that hashes, or one that is broken.
const asHasher = "KEYWATCH_TEST_HASHER"

func TestMain(m *testing.M) {
	switch os.Getenv(asHasher) {
	case "":
		os.Exit(m.Run())
	case "good":
		if err := auth.ServeHashes(os.Stdin, os.Stdout); err != nil {
			os.Exit(1)
		}
	case "silent":
		_, _ = os.Stdin.Read(make([]byte, 1))
		_, _ = os.Stdout.WriteString(" ")
		select {} // until it is killed
	}
	os.Exit(2)
}

// A hasher makes commands for the process that hashes, and counts them.
type hasher struct {
	kind    string
	started atomic.Int64
}

func (h *hasher) command() *exec.Cmd {
	cmd := exec.Command(os.Args[0])
	cmd.Env = []string{asHasher + "=" + h.kind}
	h.started.Add(1)
	return cmd
}

// use returns Passwords that have a process hash, and what they log.
func (h *hasher) use(t *testing.T) (*auth.Passwords, *bytes.Buffer) {
	log := new(bytes.Buffer)
	p := auth.NewPasswords()
	p.UseProcess(h.command, slog.New(slog.NewTextHandler(log, nil)))
	t.Cleanup(p.Close)
	return p, log
}

// A process that hashes must find what this process finds, be started once, end when nothing is to be
// hashed, and start again.
func TestPasswordsAreHashedByAProcess(t *testing.T) {
	h := &hasher{kind: "good"}
	p, _ := h.use(t)
	const password = "correct horse \xff"
	text, err := p.Hash(t.Context(), password)
	if err != nil {
		t.Fatal(err)
	}
	old, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	here := auth.NewPasswords()
	verify := func(p *auth.Passwords, text, try string, want bool) {
		t.Helper()
		if ok, _, err := p.Verify(t.Context(), text, try); ok != want || err != nil {
			t.Errorf("%.10s, %q: got %v, %v, want %v", text, try, ok, err, want)
		}
	}
	verify(here, text, password, true)
	verify(p, text, password, true)
	verify(p, text, password+"x", false)
	verify(p, string(old), password, true)
	verify(p, string(old), password+"x", false)
	if n := h.started.Load(); n != 1 || !p.Apart() {
		t.Errorf("%d processes were started, want 1", n)
	}
	p.EndIdle()
	verify(p, text, password, true)
	if n := h.started.Load(); n != 2 {
		t.Errorf("after it was idle: %d processes were started, want 2", n)
	}
}

// If this failed, no one could log in where a process cannot be started, or while it dies.
func TestHashingGoesOnWithoutProcess(t *testing.T) {
	h := &hasher{kind: "bad"}
	p, log := h.use(t)
	for range 2 {
		text, err := p.Hash(t.Context(), "correct horse")
		if err != nil {
			t.Fatal(err)
		}
		if ok, _, err := p.Verify(t.Context(), text, "correct horse"); !ok || err != nil {
			t.Errorf("got %v, %v", ok, err)
		}
	}
	if n := strings.Count(log.String(), "passwords are hashed within this process"); n != 1 || p.Apart() {
		t.Errorf("the log says so %d times, want once: %s", n, log)
	}
	h.kind = "good"
	if _, err := p.Hash(t.Context(), "correct horse"); err != nil || !p.Apart() {
		t.Errorf("a process that can be started is not used: %v", err)
	}
	if !strings.Contains(log.String(), "by a process of their own again") {
		t.Errorf("the log does not say that it is used again: %s", log)
	}
}

// If this failed, a process that does not answer would keep everyone from logging in.
func TestStuckHashEndsWithItsRequest(t *testing.T) {
	h := &hasher{kind: "silent"}
	p, _ := h.use(t)
	ctx, cancel := context.WithCancel(t.Context())
	failed := make(chan error, 1)
	go func() {
		_, err := p.Hash(ctx, "correct horse")
		failed <- err
	}()
	gate.Until(t, func() bool { return h.started.Load() == 1 }, "no process is started")
	h.kind = "good"
	cancel()
	if err := <-failed; !errors.Is(err, auth.ErrLoginLate) {
		t.Errorf("got %v, want %v", err, auth.ErrLoginLate)
	}
	if _, err := p.Hash(t.Context(), "correct horse"); err != nil || h.started.Load() != 2 || !p.Apart() {
		t.Errorf("the next one: %v, %d processes", err, h.started.Load())
	}
}

// What is no job must end the process, not be answered.
func TestServeHashesRefusesGarbage(t *testing.T) {
	var out bytes.Buffer
	if err := auth.ServeHashes(strings.NewReader("get a\n"), &out); err == nil || out.Len() > 0 {
		t.Errorf("got %v, %q", err, out.String())
	}
}
