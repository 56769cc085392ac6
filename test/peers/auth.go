package main

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// An authLoad is measured in rounds, each of which gives one value of each of its figures.
type authLoad struct {
	title   string
	figures []authFigure
	round   func(c config, dir string, n int) ([]float64, error)
}

// An authFigure is one line of the table.
type authFigure struct {
	name, unit, aim string
}

// authLoads is the table of loads.
var authLoads = []authLoad{
	{"requests", []authFigure{
		{"GET, --auth=off", "/s", ""}, {"GET, --auth=on", "/s", ""}, {"GET, on / off", "", "0.97"},
		{"PUT, --auth=off", "/s", ""}, {"PUT, --auth=on", "/s", ""}, {"PUT, on / off", "", "0.97"},
	}, roundRequests},
	{"idle watchers", []authFigure{
		{"memory a watcher, --auth=off", "B", ""}, {"memory a watcher, --auth=on", "B", "as without"},
	}, roundIdle},
	{"wrong logins", []authFigure{
		{"GET p99", "us", ""},
		{"beside requests without a password", "us", ""}, {"the same, a thousand addresses", "us", ""},
		{"beside wrong logins", "us", ""}, {"the same, a thousand addresses", "us", ""},
		{"beside such requests and a busy process, nice 19", "us", ""},
		{"wrong logins / requests without a password", "", "1.10"}, {"the same, a thousand addresses", "", "1.10"},
	}, roundLogins},
	{"revocation", []authFigure{
		{"until all are told", "ms", "1000"}, {"others' p99 before", "us", ""}, {"others' p99 meanwhile", "us", ""},
		{"meanwhile / before", "", "2"},
	}, roundRevocation},
}

// compareAuth runs every load whose title holds only.
func compareAuth(c config, only string) error {
	dir, err := os.MkdirTemp("", "keywatch-auth-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	w := tabwriter.NewWriter(os.Stdout, 0, 4, 2, ' ', 0)
	fmt.Fprintln(w, "load\twhat\tmedian\tmin\tmax\tunit\taim")
	for _, load := range authLoads {
		if !strings.Contains(load.title, only) {
			continue
		}
		if err := load.run(c, dir, w); err != nil {
			return fmt.Errorf("%s: %w", load.title, err)
		}
	}
	return w.Flush()
}

// run measures all rounds and writes their medians.
func (l *authLoad) run(c config, dir string, w *tabwriter.Writer) error {
	all := make([][]float64, len(l.figures))
	for n := range c.rounds {
		values, err := l.round(c, dir, n)
		if err != nil {
			return err
		}
		for i, v := range values {
			all[i] = append(all[i], v)
			fmt.Fprintf(os.Stderr, "round %d: %-14s %-46s %12.2f %s\n", n+1, l.title, l.figures[i].name, v, l.figures[i].unit)
		}
	}
	for i, f := range l.figures {
		slices.Sort(all[i])
		n := len(all[i])
		fmt.Fprintf(w, "%s\t%s\t%.2f\t%.2f\t%.2f\t%s\t%s\n", l.title, f.name, all[i][n/2], all[i][0], all[i][n-1], f.unit, f.aim)
	}
	return nil
}

// roundRequests has both servers answer as fast as they can, in turns; which is first changes from
// round to round.
func roundRequests(c config, dir string, n int) ([]float64, error) {
	var servers [2]*authServer
	for i, on := range []bool{false, true} {
		s, err := startAuthServer(c, dir, on)
		if err != nil {
			return nil, err
		}
		defer s.stop()
		if err := s.fill(c, dir); err != nil {
			return nil, err
		}
		servers[i] = s
	}
	var out []float64
	for _, kind := range []string{"get", "put"} {
		var rates [2]float64
		for turn := range 2 {
			i := (turn + n) % 2
			var err error
			if rates[i], err = wrk(c, servers[i].url, dir, kind, c.seconds, servers[i].headers...); err != nil {
				return nil, err
			}
			time.Sleep(200 * time.Millisecond)
		}
		out = append(out, rates[0], rates[1], rates[1]/rates[0])
	}
	return out, nil
}

// idleWatchers is how many watchers are opened to see what one takes.
const idleWatchers = 5000

// roundIdle opens watchers that are told nothing.
func roundIdle(c config, dir string, n int) ([]float64, error) {
	out := make([]float64, 2)
	for turn := range 2 {
		i := (turn + n) % 2
		s, err := startAuthServer(c, dir, i == 1)
		if err != nil {
			return nil, err
		}
		out[i], err = s.memoryOfWatcher()
		if s.stop(); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// memoryOfWatcher returns by how many bytes of memory the process grows for a watcher. Some are opened
// before, so that what the first of them takes once is not counted.
func (s *authServer) memoryOfWatcher() (float64, error) {
	warm, err := s.streams(s.admin, "idle", idleWatchers/10)
	if err != nil {
		return 0, err
	}
	defer warm.close()
	before, err := s.settledMemory()
	if err != nil {
		return 0, err
	}
	all, err := s.streams(s.admin, "idle", idleWatchers)
	if err != nil {
		return 0, err
	}
	defer all.close()
	after, err := s.settledMemory()
	return float64(after-before) / idleWatchers, err
}

// settledMemory returns the process's resident memory once it has not changed for a while.
func (s *authServer) settledMemory() (last int64, err error) {
	for same := 0; same < 4; same++ {
		time.Sleep(time.Second)
		now, err := s.memory()
		if err != nil {
			return 0, err
		}
		if diff := now - last; diff > 64<<10 || diff < -64<<10 {
			same = -1
		}
		last = now
	}
	return last, nil
}
