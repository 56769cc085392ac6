package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"text/tabwriter"
	"time"
)

const (
	// crowdSize is how many watchers a server has that writers are measured beside.
	crowdSize = 10_000
	// crowdTime is how long they may take to open.
	crowdTime = 2 * time.Minute
	// probes is how many values a second one writer puts that is measured.
	probes = 200
)

// A crowd is a process that has many watchers, a tenth of which read nothing, and tells them a value a
// second.
type crowd struct {
	load *exec.Cmd
	stop func() // nil where the server is not the crowd's own
}

func (w *crowd) close() {
	end(w.load)
	if w.stop != nil {
		w.stop()
	}
}

// newCrowd opens watchers of the server with a process ID, which aim says how to reach.
func newCrowd(c config, pid int, aim ...string) (*crowd, error) {
	before, err := filesOf(pid)
	if err != nil {
		return nil, err
	}
	w := &crowd{load: exec.Command(c.keywatch, append([]string{"bench", "fanout", "--json", "--keep", "--duration=1h", "--rate=1",
		fmt.Sprintf("--watchers=%d", crowdSize), "--stalled=10", fmt.Sprintf("--prefix=crowd/%d/", time.Now().UnixNano())}, aim...)...)}
	if err := w.load.Start(); err != nil {
		return nil, err
	}
	for until := time.Now().Add(crowdTime); ; time.Sleep(50 * time.Millisecond) {
		now, err := filesOf(pid)
		switch {
		case err == nil && now-before >= crowdSize:
			time.Sleep(2 * time.Second) // until the first of them are told
			return w, nil
		case err == nil && time.Now().After(until):
			err = fmt.Errorf("%d of %d watchers are connected after %v", now-before, crowdSize, crowdTime)
		}
		if err != nil {
			w.close()
			return nil, err
		}
	}
}

// floorCrowd opens watchers of a bare send loop in C: what telling as many costs the machine, and the
// writers on it, in whatever program.
func floorCrowd(c config, dir string) (*crowd, error) {
	cmd, aim, err := launchFloor(dir)
	if err != nil {
		return nil, err
	}
	w, err := newCrowd(c, cmd.Process.Pid, aim...)
	if err != nil {
		end(cmd)
		return nil, err
	}
	w.stop = func() { end(cmd) }
	return w, nil
}

// filesOf returns how many descriptors a process has open.
func filesOf(pid int) (int, error) {
	list, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	return len(list), err
}

// putTimes has one writer put values that are not watched, and returns the median and p99 of how long
// it waits, in milliseconds. It is a process of its own: it does not wait for those who read.
func putTimes(c config, url string) (p50, p99 float64, err error) {
	cmd := exec.Command(c.keywatch, "bench", "fanout", "--json", "--watchers=0", "--rate=1", fmt.Sprintf("--probe=%d", probes),
		fmt.Sprintf("--duration=%ds", c.seconds), fmt.Sprintf("--prefix=probe/%d/", time.Now().UnixNano()), "--server", url)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return 0, 0, err
	}
	var r fanResult
	err = json.Unmarshal(out, &r)
	return r.Probe["p50"] / 1000, r.Probe["p99"] / 1000, err
}

// A company is what a writer is measured beside: none, watchers, and as many that a bare loop in C tells.
type company struct {
	title string
	url   func() string
	// watched and floor return the crowds.
	watched, floor func() ([]*crowd, error)
	aim            string
	found          [companyRows][]float64
}

// The rows of company. The ratios are those of one round.
const (
	besideNone = iota
	besideWatched
	besideFloor
	ratioWatched
	ratioFloor
	companyRows
)

// compare measures in rounds and writes the medians.
func (b *company) compare(c config, w *tabwriter.Writer) error {
	for round := range c.rounds {
		for row, open := range []func() ([]*crowd, error){func() ([]*crowd, error) { return nil, nil }, b.watched, b.floor} {
			p50, p99, err := b.beside(c, open)
			if err != nil {
				return err
			}
			fmt.Fprintf(os.Stderr, "round %d: %s: %s: p50 %.2f ms, p99 %.2f ms\n", round+1, b.title, companyNames[row], p50, p99)
			b.found[row] = append(b.found[row], p99)
		}
		none := b.found[besideNone][round]
		b.found[ratioWatched] = append(b.found[ratioWatched], b.found[besideWatched][round]/none)
		b.found[ratioFloor] = append(b.found[ratioFloor], b.found[besideFloor][round]/none)
	}
	b.report(w)
	return nil
}

func (b *company) beside(c config, open func() ([]*crowd, error)) (p50, p99 float64, err error) {
	crowds, err := open()
	for _, w := range crowds {
		defer w.close()
	}
	if err != nil {
		return 0, 0, err
	}
	return putTimes(c, b.url())
}

var companyNames = [companyRows]string{
	"put p99 beside none", "put p99 beside watchers", "put p99 beside a bare C loop's",
	"beside watchers to none", "beside a bare C loop's to none",
}

func (b *company) report(w *tabwriter.Writer) {
	for row, values := range b.found {
		unit, aim := "ms", ""
		if row >= ratioWatched {
			unit = ""
		}
		if row == ratioWatched {
			aim = b.aim
		}
		slices.Sort(values)
		n := len(values)
		fmt.Fprintf(w, "%s\t%s\t%.2f\t%.2f\t%.2f\t%s\t%s\n", b.title, companyNames[row], values[n/2], values[0], values[n-1], unit, aim)
	}
}

// compareBeside prints how long writers wait beside watchers of the same server.
func compareBeside(c config) error {
	dir, err := os.MkdirTemp("", "keywatch-beside-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	k, err := launchKeywatch(c, dir)
	if err != nil {
		return err
	}
	defer k.stop()
	w := tabwriter.NewWriter(os.Stdout, 0, 4, 2, ' ', 0)
	fmt.Fprintln(w, "load\twhat\tmedian\tmin\tmax\tunit\taim")
	b := &company{
		title: besideTitle, aim: "1.5", url: func() string { return k.url },
		watched: func() ([]*crowd, error) { return one(newCrowd(c, k.cmd.Process.Pid, "--server", k.url)) },
		floor:   func() ([]*crowd, error) { return one(floorCrowd(c, dir)) },
	}
	if err := b.compare(c, w); err != nil {
		return err
	}
	return w.Flush()
}

const besideTitle = "puts beside 10,000 watchers, a tenth stalled"

func one(w *crowd, err error) ([]*crowd, error) {
	if err != nil {
		return nil, err
	}
	return []*crowd{w}, nil
}
