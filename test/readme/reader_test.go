package readme_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"

	"keywatch/test/gate"
)

// A reader follows a text in a home of its own, with addresses of its own in the
// place of those in the text.
type reader struct {
	*testing.T
	root string // of the checkout
	home string // and folder to work in
	env  []string
	// addr stands for 127.0.0.1:7070, page and board for ports 8000 and 8080.
	addr, page, board string
	// team and wall stand for ports 7074 and 8001, secure for 7075.
	team, wall, secure string

	rewrite *strings.Replacer
	// later are looks into a browser, which come at the end: they write, and the
	// text shows revisions.
	later []func()
	// running is what was started and not yet stopped.
	running []*program
}

func newReader(t *testing.T) *reader {
	t.Helper()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	if err := lookAtSources(root); err != nil {
		t.Fatal(err)
	}
	r := &reader{T: t, root: root, home: t.TempDir(), addr: gate.Address(t), page: gate.Address(t), board: gate.Address(t), team: gate.Address(t), wall: gate.Address(t), secure: gate.Address(t)}
	r.env = append(cleanEnv(), goEnv(t)...)
	r.env = append(r.env, "HOME="+r.home, "GOPATH="+r.home+"/go", "PATH="+r.home+"/go/bin:"+os.Getenv("PATH"),
		"KEYWATCH_LISTEN="+r.addr, "KEYWATCH_SERVER=http://"+r.addr)
	r.rewrite = strings.NewReplacer(
		"127.0.0.1:7070", r.addr, "127.0.0.1:8000", r.page,
		"http.server -b 127.0.0.1 8000", "http.server -b 127.0.0.1 "+r.page[strings.LastIndex(r.page, ":")+1:],
		"127.0.0.1:7074", r.team, "127.0.0.1:7075", r.secure, "127.0.0.1:8001", r.wall,
		"http.server -b 127.0.0.1 8001", "http.server -b 127.0.0.1 "+r.wall[strings.LastIndex(r.wall, ":")+1:],
		"client.Options{}", `client.Options{Endpoints: []string{"http://`+r.addr+`"}}`,
		"./examples/dashboard", "./examples/dashboard -server http://"+r.addr+" -listen "+r.board,
		"./examples/workers", "./examples/workers -server http://"+r.addr,
		"./examples/reload", "./examples/reload -server http://"+r.addr,
	)
	// curl says nothing of progress, and a refusal is an error.
	r.write(".curlrc", "fail\nno-progress-meter\n")
	t.Cleanup(r.stopAll)
	return r
}

// cleanEnv is the environment without what is about this program or its user.
func cleanEnv() (env []string) {
	for _, v := range os.Environ() {
		name, _, _ := strings.Cut(v, "=")
		if !strings.HasPrefix(name, "KEYWATCH_") && name != "HOME" && name != "PATH" && name != "GOPATH" && name != "GOBIN" {
			env = append(env, v)
		}
	}
	return env
}

// goEnv keeps the folders of the Go command where they are.
func goEnv(t *testing.T) (env []string) {
	t.Helper()
	out, err := exec.Command("go", "env", "-json", "GOCACHE", "GOMODCACHE", "GOENV").Output()
	if err != nil {
		t.Fatal(err)
	}
	var vars map[string]string
	if err := json.Unmarshal(out, &vars); err != nil {
		t.Fatal(err)
	}
	for name, value := range vars {
		env = append(env, name+"="+value)
	}
	return env
}

// write puts a file into the home.
func (r *reader) write(name, text string) {
	r.Helper()
	path := filepath.Join(r.home, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		r.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(r.rewrite.Replace(text)), 0o644); err != nil {
		r.Fatal(err)
	}
}

// A program is a script that runs until it is stopped.
type program struct {
	r    *reader
	text string
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended
	err  error         // how, once done is closed
	mu   sync.Mutex
	out  bytes.Buffer
}

// Write implements io.Writer, for the program's output.
func (p *program) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.out.Write(b)
}

// output returns what the program has printed so far.
func (p *program) output() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.out.String()
}

// start runs a script in a folder, in a process group of its own.
func (r *reader) start(dir, text string) *program {
	r.Helper()
	p := &program{r: r, text: strings.TrimSpace(text), done: make(chan struct{})}
	p.cmd = exec.Command("/bin/sh", "-ec", r.rewrite.Replace(text))
	p.cmd.Dir, p.cmd.Env = dir, r.env
	p.cmd.Stdout, p.cmd.Stderr = p, p
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := p.cmd.Start(); err != nil {
		r.Fatal(err)
	}
	r.running = append(r.running, p)
	go func() {
		defer close(p.done)
		p.err = p.cmd.Wait()
	}()
	return p
}

// shows waits until the program has printed what matches a pattern.
func (p *program) shows(pattern string) *program {
	p.r.Helper()
	want := regexp.MustCompile(p.r.rewrite.Replace(pattern))
	p.r.eventually(func() bool {
		if want.MatchString(p.output()) {
			return true
		}
		select {
		case <-p.done:
			if want.MatchString(p.output()) {
				return true
			}
			p.r.Fatalf("%s\nended (%v) and printed\n%s\nwant %s", p.text, p.err, p.output(), want)
		default:
		}
		return false
	}, func() string { return fmt.Sprintf("%s\nprinted\n%s\nwant %s", p.text, p.output(), want) })
	return p
}

// stop sends a signal to all that the script started and waits for its end.
func (p *program) stop(sig syscall.Signal) {
	p.r.Helper()
	_ = syscall.Kill(-p.cmd.Process.Pid, sig)
	select {
	case <-p.done:
	case <-gate.Context(p.r).Done():
		_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
		p.r.Errorf("%s\ndid not stop at %v, and printed\n%s", p.text, sig, p.output())
		<-p.done
	}
}

// interrupt is Ctrl-C; the program must then end, without an error if clean.
func (p *program) interrupt(clean bool) {
	p.r.Helper()
	p.stop(syscall.SIGINT)
	if p.err != nil && clean {
		p.r.Errorf("%s\nended with %v after Ctrl-C, and printed\n%s", p.text, p.err, p.output())
	}
}

func (r *reader) stopAll() {
	for _, p := range r.running {
		p.stop(syscall.SIGTERM)
	}
}

// eventually polls until ok.
func (r *reader) eventually(ok func() bool, otherwise func() string) {
	r.Helper()
	gate.Until(r, ok, "%s", otherwise)
}

// run runs a script to its end, which must be a good one, and all that it prints
// must match a pattern. It returns that.
func (r *reader) run(dir, text, pattern string) string {
	r.Helper()
	p := r.start(dir, text)
	select {
	case <-p.done:
	case <-gate.Context(r).Done():
		r.Fatalf("%s\ndoes not end", text)
	}
	if want := regexp.MustCompile("^(?:" + r.rewrite.Replace(pattern) + ")$"); p.err != nil || !want.MatchString(p.output()) {
		r.Fatalf("%s\nended (%v) and printed\n%q\nwant %s", text, p.err, p.output(), want)
	}
	return p.output()
}
