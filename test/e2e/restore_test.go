package e2e_test

import (
	"fmt"
	"math/rand/v2"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"keywatch/test/gate"
)

// TestDamagedBackupIsRefused: a backup that was damaged on its way is not
// restored as if it were whole: either restore, or the start after it, refuses
// it, or the store holds everything.
func TestDamagedBackupIsRefused(t *testing.T) { damagedBackupIsRefused(t, 4) }

func TestProofDamagedBackupIsRefused(t *testing.T) {
	gate.Long(t)
	damagedBackupIsRefused(t, 16)
}

func damagedBackupIsRefused(t *testing.T, trials int) {
	t.Parallel()
	s := serve(t, "--data", t.TempDir())
	cl := newClient(t, s)
	for i := range 50 {
		cl.Put(t, fmt.Sprintf("k/%d", i), strings.Repeat("v", i*100))
	}
	st := damagedStore{}
	st.want, _ = cl.List(t, "")
	whole := filepath.Join(t.TempDir(), "backup")
	command(t, "backup", whole, "--server", s.url)
	s.kill()
	st.folder = readFolder(t, filepath.Dir(whole))
	rng := rand.New(rand.NewPCG(*seed, 7))
	reported := 0
	for i := 0; i < trials || i < 10*trials && reported == 0; i++ {
		f, what := st.damaged(rng)
		dir := t.TempDir()
		f.write(t, dir)
		if st.tryRestore(t, filepath.Join(dir, "backup"), filepath.Join(dir, "restored"), what) {
			reported++
		}
	}
	if reported == 0 {
		t.Errorf("no damage was ever reported (seed %d)", *seed)
	}
	t.Logf("%d of %d refused, the others restored everything", reported, trials)
}

// tryRestore restores file to dir and starts a server on it. It returns whether
// damage was reported.
func (st damagedStore) tryRestore(t *testing.T, file, dir, what string) (reported bool) {
	t.Helper()
	out, refused := exec.CommandContext(gate.Context(t), binary, "restore", file, "--data", dir).CombinedOutput()
	if refused != nil && (len(out) == 0 || strings.Contains(string(out), "goroutine ")) {
		t.Errorf("%s: restore failed with %v and printed %q", what, refused, out)
	}
	s, err := launch(gate.Context(t), "--data", dir)
	switch {
	case err != nil && refused == nil && !explains(err, dir):
		t.Errorf("%s: %v\nwant file, byte and remedy", what, err)
	case err == nil && refused != nil:
		t.Errorf("%s: restore was refused, but its folder starts", what)
	case err == nil:
		if diff := st.holdsValues(t, s); diff != "" {
			t.Errorf("%s: restored, but %s", what, diff)
		}
	}
	if err == nil {
		s.kill()
	}
	return err != nil
}

// holdsValues is serves for a store that was restored.
func (st damagedStore) holdsValues(t *testing.T, s *server) string {
	t.Helper()
	got, _ := newClient(t, s).List(t, "")
	for key, want := range st.want {
		if e := got[key]; e.Value != want.Value || e.Version != want.Version {
			return fmt.Sprintf("%s is %.60v, want %.60v", key, e, want)
		}
	}
	if len(got) != len(st.want) {
		return fmt.Sprintf("there are %d keys, want %d", len(got), len(st.want))
	}
	return ""
}
