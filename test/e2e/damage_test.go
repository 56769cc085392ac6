package e2e_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"keywatch/test/gate"
	"keywatch/test/load"
)

// A folder is a data folder held in memory.
type folder struct {
	files map[string][]byte // without the zeros at the end
	sizes map[string]int64
	names []string // of the files that hold data
}

// readFolder reads dir.
func readFolder(t *testing.T, dir string) *folder {
	t.Helper()
	f := &folder{files: make(map[string][]byte), sizes: make(map[string]int64)}
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range list {
		data, err := os.ReadFile(filepath.Join(dir, d.Name()))
		if err != nil {
			t.Fatal(err)
		}
		f.sizes[d.Name()] = int64(len(data))
		f.files[d.Name()] = bytes.TrimRight(data, "\x00")
		if len(f.files[d.Name()]) > 0 && d.Name() != "lock" && !strings.HasSuffix(d.Name(), ".tmp") {
			f.names = append(f.names, d.Name())
		}
	}
	slices.Sort(f.names)
	return f
}

// write makes dir hold f.
func (f *folder) write(t *testing.T, dir string) {
	t.Helper()
	for name, data := range f.files {
		path := filepath.Join(dir, name)
		err := os.WriteFile(path, data, 0o600)
		if err == nil {
			err = os.Truncate(path, f.sizes[name])
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// A harm is one way to damage a file.
type harm struct {
	what string
	do   func(rng *rand.Rand, f *folder, name string) (where int64)
}

func harms() []harm {
	spot := func(rng *rand.Rand, f *folder, name string) int {
		for {
			if at := rng.IntN(len(f.files[name])); f.files[name][at] != 0 || rng.IntN(8) == 0 {
				return at
			}
		}
	}
	over := func(size int, with func(*rand.Rand) byte) func(*rand.Rand, *folder, string) int64 {
		return func(rng *rand.Rand, f *folder, name string) int64 {
			at := spot(rng, f, name) / size * size
			for i := at; i < min(at+size, len(f.files[name])); i++ {
				f.files[name][i] = with(rng)
			}
			return int64(at)
		}
	}
	return []harm{
		{"a bit flipped", func(rng *rand.Rand, f *folder, name string) int64 {
			at := spot(rng, f, name)
			f.files[name][at] ^= 1 << rng.IntN(8)
			return int64(at)
		}},
		{"a sector of zeros", over(512, func(*rand.Rand) byte { return 0 })},
		{"a sector of noise", over(512, func(rng *rand.Rand) byte { return byte(rng.Uint32()) })},
		{"a page of zeros", over(4096, func(*rand.Rand) byte { return 0 })},
		{"cut off", func(rng *rand.Rand, f *folder, name string) int64 {
			at := rng.IntN(len(f.files[name]))
			f.files[name], f.sizes[name] = f.files[name][:at], int64(at)
			return int64(at)
		}},
	}
}

// A damaged store is what was acknowledged before a folder was damaged.
type damagedStore struct {
	folder *folder
	want   map[string]load.Entry
	// lost is a key whose last write may be gone: the last group of a log that
	// was not closed cannot be told from one that was never finished.
	lost string
}

// makeStore fills a store so that it has several checkpoints and a log of
// several segments, and ends it.
func makeStore(t *testing.T, kill bool) damagedStore {
	t.Helper()
	dir := t.TempDir()
	s := serve(t, "--data", dir)
	cl := newClient(t, s)
	for round := range 3 {
		for i := range 60 {
			cl.Put(t, fmt.Sprintf("k/%d", i+round*20), fmt.Sprintf("%d.%d ", round, i)+strings.Repeat("v", 40<<10))
		}
		if round < 2 {
			cl.Must(t, load.Call{Method: "POST", Path: "/v1/admin/checkpoint"}, 200, 204)
		}
		for i := range 7 {
			cl.Must(t, load.Call{Method: "DELETE", Path: fmt.Sprintf("/v1/kv/k/%d", i*5+round)}, 204)
		}
	}
	st := damagedStore{}
	if kill {
		st.lost = "last"
		cl.Put(t, st.lost, "1")
		cl.Put(t, st.lost, "2")
	}
	st.want, _ = cl.List(t, "")
	if kill {
		s.kill()
	} else {
		s.stop(t)
	}
	st.folder = readFolder(t, dir)
	return st
}

// damaged returns the folder with one of its files damaged, and says how.
func (st damagedStore) damaged(rng *rand.Rand) (f *folder, what string) {
	name := st.folder.names[rng.IntN(len(st.folder.names))]
	f = &folder{files: make(map[string][]byte), sizes: make(map[string]int64)}
	for n, data := range st.folder.files {
		f.files[n], f.sizes[n] = bytes.Clone(data), st.folder.sizes[n]
	}
	all := harms()
	h := all[rng.IntN(len(all))]
	where := h.do(rng, f, name)
	return f, fmt.Sprintf("%s: %s at %d of %d (%d)", name, h.what, where, len(st.folder.files[name]), st.folder.sizes[name])
}

// serves reports how what s serves differs from what was acknowledged, empty if
// it does not.
func (st damagedStore) serves(t *testing.T, s *server) string {
	t.Helper()
	got, _ := newClient(t, s).List(t, "")
	for key, want := range st.want {
		if key != st.lost && got[key] != want {
			return fmt.Sprintf("%s is %.60v, want %.60v", key, got[key], want)
		}
	}
	for key := range got {
		if _, ok := st.want[key]; !ok {
			return key + " came back"
		}
	}
	return ""
}

// explains reports whether err is a refusal that an operator can work with: it
// names a file of dir, what is wrong with it, and what to do. The file is not always
// the damaged one: where a log says no more that an older segment was given up,
// that segment is missing.
func explains(err error, dir string) bool {
	var exit *exitError
	if !errors.As(err, &exit) || exit.code != 1 {
		return false
	}
	found := func(texts ...string) bool {
		return slices.ContainsFunc(texts, func(text string) bool { return strings.Contains(exit.output, text) })
	}
	wrong := found("is damaged at byte ", "is damaged: ", "missing", "is not a checkpoint or a backup of keywatch", "is an earlier copy")
	return wrong && found(dir+"/") && found("restore") && !found("goroutine ", "empty its folder")
}

// try starts a server on a damaged folder, and a second one after it, and returns
// whether damage was reported.
func (st damagedStore) try(t *testing.T, dir, what string) (reported bool) {
	t.Helper()
	for _, start := range []string{"first start", "start after a checkpoint and a stop"} {
		s, err := launch(gate.Context(t), "--data", dir)
		if err != nil {
			if !explains(err, dir) {
				t.Errorf("%s: %s: %v\nwant it served, or code 1 with file, byte and remedy", what, start, err)
			}
			return true
		}
		diff := st.serves(t, s)
		if diff != "" {
			t.Errorf("%s: %s: %s; it printed:\n%s", what, start, diff, s.out.String())
			s.kill()
			return false
		}
		newClient(t, s).Must(t, load.PutCall(st.lost+"last", "x"), 200, 201)
		newClient(t, s).Must(t, load.Call{Method: "DELETE", Path: "/v1/kv/" + st.lost + "last"}, 204)
		s.signal(t)
		<-s.exited // with 1 if what is damaged was needed to stop
	}
	return false
}

// TestDamageIsFound: after damage of any file of a stopped or killed store a
// start either serves every acknowledged write, now and after the next stop, or
// is refused with the file, the place and the remedy; nothing is dropped in
// silence.
func TestDamageIsFound(t *testing.T) { damageIsFound(t, 5) }

func TestProofDamageIsFound(t *testing.T) {
	gate.Long(t)
	damageIsFound(t, 40)
}

func damageIsFound(t *testing.T, trials int) {
	t.Parallel()
	for _, kill := range []bool{false, true} {
		t.Run(map[bool]string{false: "stopped", true: "killed"}[kill], func(t *testing.T) {
			t.Parallel()
			st := makeStore(t, kill)
			rng := rand.New(rand.NewPCG(*seed, uint64(len(t.Name()))))
			reported := 0
			for i := 0; i < trials || i < 10*trials && reported == 0; i++ {
				f, what := st.damaged(rng)
				dir, err := os.MkdirTemp(t.TempDir(), "")
				if err != nil {
					t.Fatal(err)
				}
				f.write(t, dir)
				if st.try(t, dir, what) {
					reported++
				}
				os.RemoveAll(dir)
			}
			if reported == 0 {
				t.Errorf("no damage was ever reported (seed %d)", *seed)
			}
			t.Logf("%d of %d refused, the others served everything", reported, trials)
		})
	}
}

// TestMissingFileIsFound: without one of its files a store does not start as if
// it were a new one or had never held what the file held.
func TestMissingFileIsFound(t *testing.T) {
	t.Parallel()
	st := makeStore(t, true)
	for _, name := range st.folder.names {
		dir := t.TempDir()
		st.folder.write(t, dir)
		if err := os.Remove(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
		s, err := launch(gate.Context(t), "--data", dir)
		if err == nil {
			if diff := st.serves(t, s); diff != "" {
				t.Errorf("without %s the server started, but %s", name, diff)
			}
			s.kill()
			continue
		}
		var exit *exitError
		if !errors.As(err, &exit) || exit.code != 1 || !strings.Contains(exit.output, "restore") {
			t.Errorf("without %s: %v\nwant code 1 and a remedy", name, err)
		}
	}
}
