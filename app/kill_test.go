package app_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"

	"keywatch/persist/object"
	"keywatch/persist/object/objecttest"
	"keywatch/test/gate"
)

// steps are all places between two steps of moving, rewriting and deleting.
var steps = []object.Step{
	object.StepPacked, object.StepStored, object.StepUploaded, object.StepReferenced,
	object.StepRewritten, object.StepDead, object.StepDeleting, object.StepDeleted,
}

// A killer runs one victim after the other on the same folder and objects.
type killer struct {
	t       *testing.T
	plan    plan
	killed  map[object.Step]int
	objects int // what the last one says that it refers to
}

// run starts a victim and follows it to its end.
func (k *killer) run() {
	k.t.Helper()
	text, err := json.Marshal(k.plan)
	if err != nil {
		k.t.Fatal(err)
	}
	cmd := exec.CommandContext(gate.Context(k.t), os.Args[0])
	cmd.Env = append(os.Environ(), victimEnv+"="+string(text))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		k.t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		k.hear(lines.Text())
	}
	err = cmd.Wait()
	var exit *exec.ExitError
	dead := errors.As(err, &exit) && exit.Sys().(syscall.WaitStatus).Signal() == syscall.SIGKILL
	if dead != (k.plan.Step != "") || !dead && err != nil {
		k.t.Fatalf("killed when %q, for the %d. time: %v", k.plan.Step, k.plan.Nth, err)
	}
}

// hear takes in what a victim says.
func (k *killer) hear(line string) {
	var what, key string
	var n int
	_, _ = fmt.Sscan(line, &what, &key, &n)
	h := k.plan.Keys[key]
	switch what {
	case "try":
		h.Tried = n
	case "done":
		h.Acked = n
	case "found":
		h = history{n, n}
	case "killed":
		k.killed[object.Step(key)]++
		return
	case "segments":
		k.objects = n
		return
	default:
		k.t.Errorf("%s", line)
		return
	}
	k.plan.Keys[key] = h
}

// killEverywhere kills the process rounds times at every step and then sees what is
// left; some kills fall into starts, where what memory lost is read again.
func (k *killer) killEverywhere(rounds int) {
	k.killed, k.plan.Keys = make(map[object.Step]int), make(map[string]history)
	r := rand.New(rand.NewPCG(1, 1))
	for round := range rounds {
		for i, step := range steps {
			k.plan.Step, k.plan.Nth, k.plan.Seed = step, 1+r.Int32N(3), r.Uint64()
			k.plan.Fsync = [...]string{"interval", "always"}[(round+i)%2]
			k.run()
		}
	}
	k.plan.Step = ""
	k.run()
	k.t.Logf("killed %v; %d keys were written, %d segments are left", k.killed, len(k.plan.Keys), k.objects)
	for _, step := range steps {
		if k.killed[step] != rounds {
			k.t.Errorf("%d kills when %s, want %d", k.killed[step], step, rounds)
		}
	}
	if k.objects == 0 {
		k.t.Error("nothing is in object storage: the test proves nothing")
	}
}

// If a real process, killed between any two steps of moving a value, of rewriting or
// of deleting a segment, started again with a lost or an old value, or left garbage for
// ever, tiers could not be trusted.
func TestKilledAtEveryStep(t *testing.T) { killedAtEveryStep(t, 1) }

func TestProofKilledAtEveryStep(t *testing.T) {
	gate.Long(t)
	killedAtEveryStep(t, 4)
}

func killedAtEveryStep(t *testing.T, rounds int) {
	t.Parallel()
	dir, objects := t.TempDir(), t.TempDir()
	k := &killer{t: t, plan: plan{Dir: dir, Objects: "dir://" + objects}}
	k.killEverywhere(rounds)
	if files, err := filepath.Glob(filepath.Join(objects, "*", "*", "*.seg")); err != nil || len(files) != k.objects {
		t.Errorf("%d segments in the folder, %d are referred to, %v", len(files), k.objects, err)
	}
}

// The same with a bucket that is slow and fails: it works on when the process is gone,
// so that what was under way arrives.
func TestProofKilledAtEveryStepOverS3(t *testing.T) {
	gate.Long(t)
	t.Setenv("AWS_ACCESS_KEY_ID", "k")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "s")
	bucket := newBucket(t)
	k := &killer{t: t, plan: plan{Dir: t.TempDir(), Objects: bucket.url}}
	k.killEverywhere(1)
	if n := bucket.segments(t); n != k.objects {
		t.Errorf("%d segments in the bucket, %d are referred to", n, k.objects)
	}
}

// The same with a real S3 server.
func TestProofKilledAtEveryStepOverGateway(t *testing.T) {
	gate.Long(t)
	root, addr := objecttest.Gateway(t)
	t.Setenv("AWS_ACCESS_KEY_ID", objecttest.GatewayKey)
	t.Setenv("AWS_SECRET_ACCESS_KEY", objecttest.GatewaySecret)
	if err := os.Mkdir(filepath.Join(root, "bucket"), 0o755); err != nil {
		t.Fatal(err)
	}
	k := &killer{t: t, plan: plan{Dir: t.TempDir(), Objects: "s3://bucket/p?endpoint=" + url.QueryEscape("http://"+addr)}}
	k.killEverywhere(1)
	if files, err := filepath.Glob(filepath.Join(root, "bucket", "p", "*", "*", "*.seg")); err != nil || len(files) != k.objects {
		t.Errorf("%d segments in the bucket, %d are referred to, %v", len(files), k.objects, err)
	}
}

// A bucket is an S3 server in this process that is slow and fails now and then.
type bucket struct {
	url     string
	backend *s3mem.Backend
	mu      sync.Mutex
	r       *rand.Rand
}

func newBucket(t *testing.T) *bucket {
	b := &bucket{backend: s3mem.New(), r: rand.New(rand.NewPCG(2, 2))}
	if err := b.backend.CreateBucket("bucket"); err != nil {
		t.Fatal(err)
	}
	s3 := gofakes3.New(b.backend).Server()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(time.Duration(b.draw(4)) * time.Millisecond)
		switch b.draw(40) {
		case 0:
			w.WriteHeader(500)
		case 1: // it is done, and the caller does not learn of it
			body, _ := io.ReadAll(r.Body)
			r.Body = io.NopCloser(strings.NewReader(string(body)))
			s3.ServeHTTP(httptest.NewRecorder(), r)
			panic(http.ErrAbortHandler)
		default:
			s3.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(server.Close)
	b.url = "s3://bucket/p?endpoint=" + url.QueryEscape(server.URL)
	return b
}

func (b *bucket) draw(n int) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.r.IntN(n)
}

// segments counts the segments in the bucket.
func (b *bucket) segments(t *testing.T) (n int) {
	list, err := b.backend.ListBucket("bucket", &gofakes3.Prefix{}, gofakes3.ListBucketPage{})
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range list.Contents {
		if strings.HasSuffix(o.Key, object.Suffix) {
			n++
		}
	}
	return n
}
