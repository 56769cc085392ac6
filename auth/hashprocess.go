package auth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"runtime"
)

// A hashProcess hashes in a process of its own, which runs ServeHashes. A hash takes a processor and
// 19 MiB for some 30 ms: within this process requests would wait behind it, and the garbage
// collector would run for each. It is used by one goroutine at a time.
type hashProcess struct {
	command func() *exec.Cmd
	cmd     *exec.Cmd // nil while it does not run
	in      *json.Encoder
	out     *json.Decoder
}

// run has the process do a job, and starts it if it does not run. Whatever fails ends the process; so
// does the end of ctx.
func (p *hashProcess) run(ctx context.Context, j *hashJob) (r hashResult, err error) {
	if p.cmd == nil {
		if err := p.start(); err != nil {
			return r, fmt.Errorf("start process that hashes passwords: %w", err)
		}
	}
	process := p.cmd.Process
	stop := context.AfterFunc(ctx, func() { _ = process.Kill() })
	if err = p.in.Encode(j); err == nil {
		err = p.out.Decode(&r)
	}
	if !stop() && err == nil { // it may be killed after its answer
		p.end()
		return r, nil
	}
	if err != nil {
		p.end()
		return r, fmt.Errorf("process that hashes passwords: %w", err)
	}
	return r, nil
}

func (p *hashProcess) start() error {
	cmd := p.command()
	in, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return errors.Join(err, in.Close())
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	p.cmd, p.in, p.out = cmd, json.NewEncoder(in), json.NewDecoder(out)
	return nil
}

// end ends the process. It keeps nothing, so it is killed.
func (p *hashProcess) end() {
	if p.cmd == nil {
		return
	}
	_ = p.cmd.Process.Kill() // it may have ended
	_ = p.cmd.Wait()         // says that it was killed
	p.cmd, p.in, p.out = nil, nil, nil
}

// ServeHashes does the jobs that it reads, one after the other, and writes what they come to. It
// returns nil at the end of in. It is for the process that a server starts: see Passwords.UseProcess.
func ServeHashes(in io.Reader, out io.Writer) error {
	jobs, results := json.NewDecoder(in), json.NewEncoder(out)
	for {
		var j hashJob
		if err := jobs.Decode(&j); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		r := j.run()
		if err := results.Encode(&r); err != nil {
			return err
		}
		runtime.GC() // so that the next hash uses the memory of this one
	}
}
