package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// A fanResult is what the load prints, as far as the table shows it.
type fanResult struct {
	Watchers, Watches    int
	Published, Delivered uint64
	Expected, Lost       uint64
	Process              struct {
		PerWatcher float64 `json:"rss_per_watcher"`
		RSSBefore  float64 `json:"rss_before"`
		RSSOpen    float64 `json:"rss_open"`
		CPU        float64 `json:"cpu_s"`
		PerEvent   float64 `json:"cpu_us_per_event"`
	}
	Delivery map[string]float64 `json:"delivery_us"`
	Probe    map[string]float64 `json:"probe_us"`
}

// A figure is one column: what is read from a result, and what is aimed at.
type figure struct {
	name, unit, target string
	of                 func(r *fanResult) float64
}

// A section is one load that all its rivals meet.
type section struct {
	title   string
	args    []string
	rivals  []rival
	figures []figure
	rounds  int // at least
}

var (
	kibEach  = figure{"memory a watcher", "KiB", "0.5, 1 at most", func(r *fanResult) float64 { return r.Process.PerWatcher / 1024 }}
	cpuEach  = figure{"CPU a delivered value", "us", "", func(r *fanResult) float64 { return r.Process.PerEvent }}
	p99      = figure{"p99 delivery", "ms", "", func(r *fanResult) float64 { return r.Delivery["p99"] / 1000 }}
	lost     = figure{"lost", "", "0", func(r *fanResult) float64 { return float64(r.Lost) }}
	cpuTotal = figure{"CPU a published value", "us", "", func(r *fanResult) float64 { return r.Process.CPU * 1e6 / float64(max(r.Published, 1)) }}
	eachByte = figure{"memory a watch", "B", "200", func(r *fanResult) float64 {
		return (r.Process.RSSOpen - r.Process.RSSBefore) / float64(max(r.Watches, 1))
	}}
)

func (f figure) aim(target string) figure {
	f.target = target
	return f
}

// sections is the table of loads, which are in memory.
func sections(seconds int) []section {
	d := fmt.Sprintf("--duration=%ds", seconds)
	both, all := []rival{keywatchSSE, keywatchWS}, []rival{keywatchSSE, keywatchWS, nchanSSE, nchanWS, centrifugoSSE, centrifugoWS}
	return []section{
		{"10,000 idle", []string{"--watchers=10000", "--idle", "--settle=3s"}, all, []figure{kibEach}, 1},
		{"1 key x 5,000, 20/s", []string{"--watchers=5000", "--rate=20", d},
			append(slices.Clone(all), bareC), []figure{cpuEach.aim("1.15 times the C loop"), p99.aim("60"), lost}, 1},
		{"1 key x 1,000, 1,000/s in tens", []string{"--watchers=1000", "--rate=1000", "--burst=10", d},
			append(slices.Clone(all), bareC), []figure{cpuEach.aim("1.2"), p99, lost}, 1},
		{"1 key x 1,000, 50/s", []string{"--watchers=1000", "--rate=50", d}, all, []figure{cpuEach, p99.aim("10"), lost}, 5},
		{"10,000 keys, nobody watches, 20,000/s in hundreds", []string{"--watchers=0", "--keys=10000", "--batch=100", "--conns=4", "--rate=20000", d},
			both[:1], []figure{cpuTotal}, 1},
		{"10,000 keys, a watcher each, 20,000/s in hundreds", []string{"--watchers=10000", "--keys=10000", "--batch=100", "--conns=4", "--rate=20000", d},
			both, []figure{cpuTotal.aim("2 above that of nobody"), p99, lost}, 1},
		{"1,000,000 prefixes on 100 sockets", []string{"--watchers=100", "--watches=10000", "--keys=1000000", "--by-prefix", "--batch=100", "--conns=2", "--rate=5000", "--patience=5m", "--settle=8s", d},
			both[1:], []figure{eachByte, cpuTotal, p99, lost}, 1},
	}
}

// compareFanout runs every section whose title holds only. Writers beside watchers are measured with
// every write fsynced.
func compareFanout(c config, only string) error {
	list := slices.DeleteFunc(sections(c.seconds), func(s section) bool { return !strings.Contains(s.title, only) })
	if err := runFanout(c, list); err != nil || !strings.Contains(besideTitle, only) {
		return err
	}
	return compareBeside(c)
}

// runFanout runs sections one after the other.
func runFanout(c config, list []section) error {
	dir, err := os.MkdirTemp("", "keywatch-fanout-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o755); err != nil { // nginx's worker is another user
		return err
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 4, 2, ' ', 0)
	fmt.Fprintln(w, "load\tserver\twhat\tmedian\tmin\tmax\tunit\taim")
	for _, s := range list {
		s.run(c, dir, w)
	}
	return w.Flush()
}

// run has all rivals take turns.
func (s *section) run(c config, dir string, w *tabwriter.Writer) {
	found := make([][]*fanResult, len(s.rivals))
	for range max(c.rounds, s.rounds) {
		for i, rival := range s.rivals {
			r, err := s.measure(c, dir, rival)
			if err != nil {
				fmt.Fprintf(os.Stderr, "peers: left out: %s, %s: %v\n", s.title, rival.name, err)
				continue
			}
			found[i] = append(found[i], r)
			fmt.Fprintf(os.Stderr, "%-50s %-22s", s.title, rival.name)
			for _, f := range s.figures {
				fmt.Fprintf(os.Stderr, "  %s %.2f %s", f.name, f.of(r), f.unit)
			}
			fmt.Fprintln(os.Stderr)
		}
	}
	for i, rival := range s.rivals {
		for _, f := range s.figures {
			if len(found[i]) > 0 {
				s.row(w, rival, f, found[i])
			}
		}
	}
}

func (s *section) row(w *tabwriter.Writer, rival rival, f figure, results []*fanResult) {
	var values []float64
	for _, r := range results {
		values = append(values, f.of(r))
	}
	slices.Sort(values)
	fmt.Fprintf(w, "%s\t%s\t%s\t%.2f\t%.2f\t%.2f\t%s\t%s\n",
		s.title, rival.name, f.name, values[len(values)/2], values[0], values[len(values)-1], f.unit, f.target)
}

// measure starts a rival, loads it once, and stops it.
func (s *section) measure(c config, dir string, rival rival) (*fanResult, error) {
	aim, stop, err := rival.start(c, dir)
	if err != nil {
		return nil, err
	}
	defer stop()
	time.Sleep(200 * time.Millisecond) // for its memory to settle
	cmd := exec.Command(c.keywatch, append(append([]string{"bench", "fanout", "--json"}, aim...), s.args...)...)
	var printed bytes.Buffer
	cmd.Stderr = &printed
	out, err := cmd.Output()
	var r fanResult
	if jsonErr := json.Unmarshal(out, &r); jsonErr != nil {
		return nil, fmt.Errorf("%w: %s", err, printed.String())
	}
	return &r, nil
}
