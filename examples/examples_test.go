package examples_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/chromedp/chromedp"

	"keywatch/app"
	"keywatch/client"
	"keywatch/test/gate"
)

// bin is the folder with the programs of this repository that the tests run.
var bin string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "examples")
	if err != nil {
		panic(err)
	}
	build := exec.Command("go", "build", "-o", dir, "keywatch/app/keywatch", "keywatch/examples/...")
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "build:", err)
		os.Exit(1)
	}
	bin = dir
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

// serve starts a server and returns its address and a client of it.
func serve(t *testing.T) (url string, c *client.Client) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ready, done := make(chan net.Addr, 1), make(chan error, 1)
	go func() {
		done <- app.Serve(ctx, app.ServeConfig{Config: app.Config{MemoryOnly: true}, Listen: "127.0.0.1:0"}, func(a net.Addr) { ready <- a })
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	select {
	case a := <-ready:
		url = "http://" + a.String()
	case err := <-done:
		done <- nil
		t.Fatal(err)
	}
	c, err := client.New(client.Options{Endpoints: []string{url}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return url, c
}

// program is one that runs until the test ends.
type program struct {
	cmd *exec.Cmd
	mu  sync.Mutex
	out bytes.Buffer
}

func (p *program) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.out.Write(b)
}

// says reports whether the program has printed text.
func (p *program) says(text string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.Contains(p.out.String(), text)
}

// run starts one of the programs.
func run(t *testing.T, name string, args ...string) *program {
	t.Helper()
	p := &program{cmd: exec.Command(filepath.Join(bin, name), args...)}
	p.cmd.Stdout, p.cmd.Stderr = p, p
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.kill()
		if t.Failed() {
			t.Logf("%s printed:\n%s", name, p.out.String())
		}
	})
	return p
}

func (p *program) kill() {
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait()
}

// eventually polls until ok.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	gate.Until(t, ok, "never: %s", what)
}

// value returns the value of a key, "" if there is none.
func value(t *testing.T, c *client.Client, key string) string {
	t.Helper()
	e, err := c.Get(t.Context(), key)
	if err != nil && !errors.Is(err, client.ErrNotFound) {
		t.Fatal(err)
	}
	return string(e.Value)
}

// If two deployments ran at once, or one that has lost the lock still wrote, the
// scripts would teach what breaks.
func TestDeploy(t *testing.T) {
	for _, script := range []string{"deploy.sh", "deploy-curl.sh"} {
		t.Run(script, func(t *testing.T) {
			t.Parallel()
			if script == "deploy-curl.sh" {
				gate.Program(t, "curl")
			}
			url, c := serve(t)
			deploy := func(version string) *exec.Cmd {
				cmd := exec.Command("./"+script, version)
				cmd.Dir = "deploy"
				cmd.Env = append(os.Environ(), "KEYWATCH_SERVER="+url, "PATH="+bin+":"+os.Getenv("PATH"))
				return cmd
			}
			other, err := c.TryLock(t.Context(), "deploy", client.LockOptions{})
			if err != nil {
				t.Fatal(err)
			}
			first := deploy("v1")
			first.Stderr = os.Stderr
			if err := first.Start(); err != nil {
				t.Fatal(err)
			}
			waiting := func() bool {
				for range c.List(t.Context(), "locks/deploy/queue/") {
					return true
				}
				return false
			}
			eventually(t, "the script waits for the lock", waiting)
			if got := value(t, c, "deploy/current"); got != "" {
				t.Errorf("%s was deployed without the lock", got)
			}
			if err := other.Unlock(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := first.Wait(); err != nil {
				t.Fatal(err)
			}
			if out, err := deploy("v2").CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			if got := value(t, c, "deploy/current"); got != "v2" {
				t.Errorf("%q is deployed, want v2", got)
			}
			if value(t, c, "deploy/running") != "" || value(t, c, "locks/deploy") != "" {
				t.Error("something of the deployment is left")
			}
		})
	}
}

// If a job were lost with a worker that dies, or done twice, or no worker led any
// more, the pool would be none.
func TestWorkers(t *testing.T) {
	t.Parallel()
	url, c := serve(t)
	const jobs = 60
	flags := []string{"-server", url, "-ttl", "1s", "-work", "30ms", "-id"}
	first := run(t, "workers", append(flags, "first")...)
	eventually(t, "the first leads", func() bool { return first.says("first leads") })
	second := run(t, "workers", append(flags, "second")...)
	eventually(t, "the second is in the pool", func() bool { return second.says("in the pool") })
	for i := range jobs {
		if _, err := c.Put(t.Context(), fmt.Sprintf("jobs/%d", i), fmt.Appendf(nil, "job %d", i)); err != nil {
			t.Fatal(err)
		}
	}
	results := func() (n int) {
		for e, err := range c.List(t.Context(), "results/") {
			if err != nil {
				t.Fatal(err)
			}
			if e.Version != 1 {
				t.Errorf("%s was written %d times", e.Key, e.Version)
			}
			n++
		}
		return n
	}
	eventually(t, "some jobs are done", func() bool { return results() > 5 })
	first.kill() // in the middle of its work
	eventually(t, "all jobs are done", func() bool { return results() == jobs })
	eventually(t, "the second leads", func() bool { return second.says("second leads") })
	eventually(t, "the number is published", func() bool { return value(t, c, "pool/done") == fmt.Sprintf("%d by second", jobs) })
	if err := second.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := second.cmd.Wait(); err != nil {
		t.Errorf("the second ended with %v", err)
	}
}

// If a change were missed, or a bad one taken, the program would not run with
// what it was told.
func TestReload(t *testing.T) {
	t.Parallel()
	url, c := serve(t)
	p := run(t, "reload", "-server", url)
	eventually(t, "the defaults", func() bool { return p.says("level=info workers=1\n") })
	for _, step := range []struct{ value, says string }{
		{`{"level":"debug","workers":8}`, "level=debug workers=8\n"},
		{`{"workers":0}`, "is left out: workers must be at least 1"},
		{`{"level":`, "version 3 of config/app is left out"},
		{`{"level":"warn"}`, "level=warn workers=1\n"},
	} {
		if _, err := c.Put(t.Context(), "config/app", []byte(step.value)); err != nil {
			t.Fatal(err)
		}
		eventually(t, "it says "+step.says, func() bool { return p.says(step.says) })
	}
	if _, err := c.Delete(t.Context(), "config/app"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the defaults again", func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		return strings.Count(p.out.String(), "level=info workers=1\n") == 2
	})
}

// If the page were not thirty lines, or did not show what changes, no reader would
// start from it.
func TestDashboard(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("dashboard/index.html")
	if err != nil {
		t.Fatal(err)
	}
	if n := bytes.Count(page, []byte("\n")); n > 32 {
		t.Errorf("the page has %d lines", n)
	}
	url, c := serve(t)
	p := run(t, "dashboard", "-server", url, "-listen", "127.0.0.1:0")
	eventually(t, "it serves", func() bool { return p.says("\n") })
	p.mu.Lock()
	line, _ := bufio.NewReader(bytes.NewReader(p.out.Bytes())).ReadString('\n')
	p.mu.Unlock()
	here := strings.TrimSpace(strings.TrimPrefix(line, "dashboard: "))
	if got := fetch(t, here+"/"); got != string(page) {
		t.Errorf("at / there is %q", got)
	}
	if _, err := c.Put(t.Context(), "sensors/kitchen", []byte("21.5")); err != nil {
		t.Fatal(err)
	}
	if got := fetch(t, here+"/v1/kv/sensors/kitchen"); got != "21.5" {
		t.Errorf("through the page's server the value is %q", got)
	}
	if !strings.Contains(fetch(t, here+"/keywatch.js"), "Keywatch") {
		t.Error("this server has no keywatch.js")
	}
	ctx := chromium(t)
	if err := chromedp.Do(ctx, chromedp.Navigate(here+"/")); err != nil {
		t.Fatal(err)
	}
	shows := func(rows string) {
		t.Helper()
		eventually(t, "the page shows "+rows, func() bool {
			got, err := chromedp.Run(ctx, chromedp.Evaluate[string](`document.getElementById("rows").innerText`))
			return err == nil && strings.Join(strings.Fields(got), " ") == rows
		})
	}
	shows("kitchen 21.5")
	if _, err := c.Put(t.Context(), "sensors/attic", []byte("<b>hot</b>")); err != nil {
		t.Fatal(err)
	}
	shows("attic <b>hot</b> kitchen 21.5")
	if _, err := c.Delete(t.Context(), "sensors/kitchen"); err != nil {
		t.Fatal(err)
	}
	shows("attic <b>hot</b>")
}

// chromium returns the context of a page in a Chromium that ends with the test.
func chromium(t *testing.T) context.Context {
	t.Helper()
	path := gate.Program(t, "chromium", "chromium-browser", "google-chrome")
	alloc, stop := chromedp.NewExecAllocator(t.Context(), append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.DisableGPU)...)
	t.Cleanup(stop)
	ctx, cancel := chromedp.NewContext(alloc)
	t.Cleanup(cancel)
	return ctx
}

func fetch(t *testing.T, url string) string {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}
