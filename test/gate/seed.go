package gate

import (
	"hash/fnv"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"testing"
)

// SeedEnv is the environment variable that decides what Seed returns: a number is
// the seed itself, "random" asks for another one each time. If it is not set, a test
// has the same seeds in every run.
const SeedEnv = "KEYWATCH_SEED"

// runs counts the calls of Seed for each test, so that -count repeats a test with other seeds.
var runs = struct {
	sync.Mutex
	of map[string]uint64
}{of: make(map[string]uint64)}

// Seed returns the seed of t's random choices and logs it. What a test finds depends
// on it, so it is not chance: a run that passed passes again, and who looks for more
// sets SeedEnv to "random". Seed is safe for concurrent use.
func Seed(t testing.TB) uint64 {
	t.Helper()
	seed := nextSeed(t, t.Name(), os.Getenv(SeedEnv))
	t.Logf("%s=%d", SeedEnv, seed)
	return seed
}

func nextSeed(t testing.TB, name, env string) uint64 {
	t.Helper()
	switch env {
	case "":
		runs.Lock()
		defer runs.Unlock()
		runs.of[name]++
		h := fnv.New64a()
		_, _ = h.Write(strconv.AppendUint([]byte(name+"#"), runs.of[name], 10)) // a hash does not fail
		return h.Sum64()
	case "random":
		return rand.Uint64()
	}
	seed, err := strconv.ParseUint(env, 10, 64)
	if err != nil {
		t.Fatalf("%s is %q, want a number or random", SeedEnv, env)
	}
	return seed
}
