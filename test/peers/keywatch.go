package main

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"
)

const (
	nameGet   = "keywatch GET, linearizable"
	namePut   = "keywatch PUT, fsynced"
	nameBatch = "keywatch batch of 100 puts, keys"
	nameBare  = "bare fiber handler GET"
)

// launchKeywatch runs a durable server and returns its URL and what stops it.
func launchKeywatch(c config, dir string) (url string, stop func(), err error) {
	cmd := exec.Command(c.keywatch, "serve", "--listen", "127.0.0.1:0", "--data", filepath.Join(dir, "keywatch"))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return "", nil, err
	}
	if err := cmd.Start(); err != nil {
		return "", nil, err
	}
	stop = func() { end(cmd) }
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		stop()
		return "", nil, fmt.Errorf("keywatch did not start: %w", err)
	}
	return strings.Fields(line)[1], stop, nil
}

func startKeywatch(c config, dir string) ([]contender, func(), error) {
	url, stop, err := launchKeywatch(c, dir)
	if err != nil {
		return nil, nil, err
	}
	fill := func() error { // nearly every key that GET asks for exists
		_, err := wrk(c, url, dir, "batch", 2)
		return err
	}
	if err := fill(); err != nil {
		stop()
		return nil, nil, err
	}
	run := func(kind string, per float64) func() (float64, error) {
		return func() (float64, error) {
			rate, err := wrk(c, url, dir, kind, c.seconds)
			return rate * per, err
		}
	}
	return []contender{
		{nameGet, run("get", 1)}, {namePut, run("put", 1)}, {nameBatch, run("batch", 100)},
	}, stop, nil
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
	return []contender{{nameBare, run}}, func() { end(cmd) }, nil
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
