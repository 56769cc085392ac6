package main

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"
)

const (
	nameGet   = "keywatch GET, linearizable"
	namePut   = "keywatch PUT, fsynced"
	nameBatch = "keywatch batch of 100 puts, keys"
	nameBare  = "bare fiber handler GET"

	namePutCPU  = "keywatch PUT, fsynced, processor time"
	nameSet     = "keywatch SET over RESP, fsynced"
	nameSetCPU  = "keywatch SET over RESP, fsynced, processor time"
	nameSetDeep = "keywatch SET over RESP, fsynced, -P 16"
	nameRESPGet = "keywatch GET over RESP, linearizable"
)

// A keywatch is a server that runs: where it serves HTTP, and clients of Redis.
type keywatch struct {
	url, resp string
	cmd       *exec.Cmd
}

func (k *keywatch) stop() { end(k.cmd) }

// launchKeywatch runs a server, with its data in dir unless more has --memory-only.
func launchKeywatch(c config, dir string, more ...string) (*keywatch, error) {
	args := append([]string{"serve", "--listen", "127.0.0.1:0", "--resp", "127.0.0.1:0"}, more...)
	if !slices.Contains(more, "--memory-only") {
		args = append(args, "--data", filepath.Join(dir, "keywatch"))
	}
	cmd := exec.Command(c.keywatch, args...)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		end(cmd)
		return nil, fmt.Errorf("keywatch did not start: %w", err)
	}
	k := &keywatch{url: strings.Fields(line)[1], cmd: cmd}
	for word := range strings.FieldsSeq(line) {
		if addr, ok := strings.CutPrefix(word, "resp="); ok {
			k.resp = addr
		}
	}
	return k, nil
}

func startKeywatch(c config, dir string) ([]contender, func(), error) {
	k, err := launchKeywatch(c, dir)
	if err != nil {
		return nil, nil, err
	}
	if _, err := wrk(c, k.url, dir, "batch", 2); err != nil { // nearly every key that GET asks for exists
		k.stop()
		return nil, nil, err
	}
	load := func(kind string, per float64) func() (float64, error) {
		return func() (float64, error) {
			rate, err := wrk(c, k.url, dir, kind, c.seconds)
			return rate * per, err
		}
	}
	redis := func(kind string, depth int) func() (float64, error) {
		return func() (float64, error) { return redisBenchmark(c, k.resp, kind, depth) }
	}
	put, putCPU := counted(k.cmd.Process.Pid, load("put", 1))
	set, setCPU := counted(k.cmd.Process.Pid, redis("set", 1))
	return []contender{
		{nameGet, "/s", load("get", 1)}, {namePut, "/s", put}, {namePutCPU, "us", putCPU}, {nameBatch, "/s", load("batch", 100)},
		{nameSet, "/s", set}, {nameSetCPU, "us", setCPU}, {nameSetDeep, "/s", redis("set", deep)}, {nameRESPGet, "/s", redis("get", 1)},
	}, k.stop, nil
}

// startBare runs this program again as the floor: a fiber handler that answers
// a value of the same size.
func startBare(c config, dir string) ([]contender, func(), error) {
	addr, err := freeAddr()
	if err != nil {
		return nil, nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, nil, err
	}
	cmd := exec.Command(self, "-bare", addr, "-size", fmt.Sprint(c.size))
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		return nil, nil, err
	}
	if err := awaitPort(addr); err != nil {
		end(cmd)
		return nil, nil, err
	}
	run := func() (float64, error) { return wrk(c, "http://"+addr, dir, "get", c.seconds) }
	return []contender{{nameBare, "/s", run}}, func() { end(cmd) }, nil
}

func serveBare(addr string, size int) error {
	app := fiber.New(fiber.Config{DisableStartupMessage: true})
	value := []byte(strings.Repeat("x", size))
	app.Get("/v1/kv/*", func(c *fiber.Ctx) error { return c.Send(value) })
	return app.Listen(addr)
}

// end asks a process to stop and waits for it.
func end(cmd *exec.Cmd) {
	cmd.Process.Signal(os.Interrupt)
	done := make(chan struct{})
	go func() { cmd.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(10 * time.Second):
		cmd.Process.Kill()
		<-done
	}
}

func freeAddr() (string, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer ln.Close()
	return ln.Addr().String(), nil
}

func awaitPort(addr string) error {
	for deadline := time.Now().Add(15 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		conn, err := net.Dial("tcp", addr)
		if err == nil {
			return conn.Close()
		}
		if time.Now().After(deadline) {
			return err
		}
	}
}
