package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"keywatch/app/keywatch/fanout"
)

// fanoutCmd loads a server with watchers.
type fanoutCmd struct {
	Watchers  int           `help:"Connections that watch." default:"1000"`
	Watches   int           `help:"Watches on each connection; more than one takes --transport=ws." default:"1"`
	Keys      int           `help:"Keys to write. Watch number i is of key i modulo this." default:"1"`
	Transport string        `help:"sse or ws." enum:"sse,ws" default:"sse"`
	ByPrefix  bool          `help:"Watch a prefix that only one key has, instead of the key."`
	Rate      float64       `help:"Values a second." default:"20"`
	Burst     int           `help:"Requests sent at the same moment." default:"1"`
	Batch     int           `help:"Keys written by one request." default:"1"`
	Conns     int           `help:"Connections that write, at least." default:"1"`
	Probe     float64       `help:"Puts a second to a key that is not watched; their latency is shown." default:"0"`
	Duration  time.Duration `help:"How long to write." default:"10s"`
	Settle    time.Duration `help:"How long to wait before memory is looked at." default:"1s"`
	Patience  time.Duration `help:"How long opening, and coming back, may take." default:"1m"`
	Idle      bool          `help:"Look at memory only; write nothing."`
	Stalled   int           `help:"Percentage of watchers that do not read." default:"0"`
	Drops     int           `help:"How often all watchers are dropped at once and reconnect." default:"0"`
	Churn     float64       `help:"Watchers a second that are dropped and reconnect." default:"0"`
	Size      int           `help:"Bytes in a value." default:"128"`
	Prefix    string        `help:"What the keys begin with." default:"bench/fanout/"`
	PID       []int         `help:"The server's processes; else those that listen on its port here." name:"pid" placeholder:"PID"`
	SubURL    string        `help:"Where to watch, of another server than keywatch; {key} and {n} are replaced." placeholder:"URL"`
	PubURL    string        `help:"Where to publish, of another server." placeholder:"URL"`
	PubMethod string        `help:"How to publish." default:"POST"`
	PubBody   string        `help:"What to publish; {value} and {key} are replaced." default:"{value}"`
	SubHeader []string      `help:"A header of requests to watch." placeholder:"NAME: VALUE" sep:"none"`
	PubHeader []string      `help:"A header of requests to publish." placeholder:"NAME: VALUE" sep:"none"`
	Keep      bool          `help:"Use keys under the prefix that exist, and leave all of them."`
	JSON      bool          `help:"The same as -o json." name:"json"`
}

// Help is printed by keywatch bench fanout --help.
func (*fanoutCmd) Help() string {
	return `
Opens watchers, looks at the server's memory, writes at a steady rate, and prints
how long values took to arrive, what they cost the server, and what was lost,
came twice or came out of order. It speaks http, not https. Memory and processor time are those of the
server's processes, where they run on this machine. Values are not counted for
watchers that are stalled. Requires Linux, and one descriptor for each watcher on
both sides. Exits with 1 if a value did not arrive once and in order.

Writes real keys and deletes them at the end: use a server made for it. It does not
start if there are keys under the prefix, unless --keep is given.

Examples:

    keywatch bench fanout --watchers=10000 --idle
    keywatch bench fanout --watchers=5000 --rate=20
    keywatch bench fanout --transport=ws --rate=1000 --burst=10
    keywatch bench fanout --watchers=10000 --keys=10000 --rate=20000 --batch=100 --conns=4
    keywatch bench fanout --watchers=5000 --drops=3
    keywatch bench fanout --sub-url=http://127.0.0.1:8080/sub/{key} --pub-url=http://127.0.0.1:8080/pub/{key}
`
}

// latencies are those of one run.
type latencies struct{ delivery, publish, probe histogram }

// recorder makes a histogram a fanout.Recorder.
type recorder struct{ h *histogram }

func (r recorder) Add(d time.Duration) { r.h.add(d) }

// Run measures and prints the result.
func (c *fanoutCmd) Run(s *session) error {
	if c.SubURL != "" || c.PubURL != "" || c.Idle {
		return c.run(s)
	}
	return s.withBenchKeys(c.Prefix, c.Keep, func() error { return c.run(s) })
}

func (c *fanoutCmd) run(s *session) error {
	var l latencies
	r, err := fanout.Run(s.ctx, c.options(s, &l))
	if errors.Is(err, fanout.ErrOptions) {
		return usagef("%v", err)
	}
	if err != nil {
		return err
	}
	if err := c.print(s, r, &l); err != nil {
		return err
	}
	if !r.Whole() {
		return errors.New("not every value arrived once and in order")
	}
	return nil
}

func (c *fanoutCmd) options(s *session, l *latencies) fanout.Options {
	o := fanout.Options{
		Server: s.client.base.String(), SubURL: c.SubURL, PubURL: c.PubURL,
		PubMethod: c.PubMethod, PubBody: c.PubBody, SubHeaders: c.SubHeader, PubHeaders: c.PubHeader,
		Transport: fanout.Transport(c.Transport), Watchers: c.Watchers, Watches: c.Watches, Keys: c.Keys,
		ByPrefix: c.ByPrefix, Prefix: c.Prefix, Size: c.Size, Batch: c.Batch, Rate: c.Rate, Burst: c.Burst,
		Conns: c.Conns, Probe: c.Probe, Duration: c.Duration, Settle: c.Settle, Stalled: c.Stalled, Drops: c.Drops, Churn: c.Churn,
		PIDs: c.PID, OpenTimeout: c.Patience,
		Delivery: recorder{&l.delivery}, Publish: recorder{&l.publish}, ProbePut: recorder{&l.probe},
	}
	if c.Idle {
		o.Duration = 0
	}
	var mu sync.Mutex
	o.Progress = func(text string) {
		mu.Lock()
		defer mu.Unlock()
		s.message("%s", text)
	}
	return o
}

// fanoutResult is the result as JSON.
type fanoutResult struct {
	*fanout.Result
	DeliveryUS map[string]int64 `json:"delivery_us,omitempty"`
	PublishUS  map[string]int64 `json:"publish_us,omitempty"`
	ProbeUS    map[string]int64 `json:"probe_us,omitempty"`
}

// micros returns the quantiles of h, nil if it is empty.
func (h *histogram) micros() map[string]int64 {
	if h.n == 0 {
		return nil
	}
	m := map[string]int64{}
	for _, q := range quantiles {
		m[q.name] = h.quantile(q.q).Microseconds()
	}
	return m
}

func (c *fanoutCmd) print(s *session, r *fanout.Result, l *latencies) error {
	if s.json() || c.JSON {
		return s.printValue(fanoutResult{r, l.delivery.micros(), l.publish.micros(), l.probe.micros()})
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %d watchers, %d watches, %d stalled, %d keys, opened in %.2f s\n",
		r.Transport, r.Watchers, r.Watches, r.Stalled, r.Keys, r.Opened)
	printMemory(&b, r)
	if r.Seconds > 0 {
		printTraffic(&b, r, l)
	}
	return s.printf("%s", b.String())
}

func printMemory(b io.Writer, r *fanout.Result) {
	if p := r.Process; p != nil {
		fmt.Fprintf(b, "memory    %.2f KiB a watcher: %.1f MiB before, %.1f with all idle, %.1f at the end\n",
			p.PerWatcher/1024, mib(p.RSSBefore), mib(p.RSSOpen), mib(p.RSSAfter))
	}
	if h := r.Heap; h != nil {
		fmt.Fprintf(b, "heap      %.2f KiB a watcher, stacks %.2f KiB, %.0f goroutines\n", h.PerWatcher/1024, h.Stacks/1024, h.Goroutines)
	}
}

func mib(n int64) float64 { return float64(n) / (1 << 20) }

func printTraffic(b io.Writer, r *fanout.Result, l *latencies) {
	fmt.Fprintf(b, "published %d in %.1f s, %.0f/s\n", r.Published, r.Seconds, float64(r.Published)/r.Seconds)
	fmt.Fprintf(b, "delivered %d of %d, lost %d\n", r.Delivered, r.Expected, r.Lost)
	fmt.Fprintf(b, "twice     %d, out of order %d, gaps %d, not asked for %d\n",
		r.Counts.Duplicates, r.Counts.Disordered, r.Counts.Gaps, r.Counts.Misdelivered)
	fmt.Fprintf(b, "streams   %d resyncs, %d resets, %d broke, %d refused\n",
		r.Counts.Resyncs, r.Counts.Resets, r.Counts.Breaks, r.Counts.Refused)
	if r.Process != nil {
		fmt.Fprintf(b, "cpu       %.2f us a delivered value, %.2f s\n", r.Process.PerEvent, r.Process.CPU)
	}
	for _, h := range []struct {
		name string
		*histogram
	}{{"delivery", &l.delivery}, {"publish", &l.publish}, {"probe", &l.probe}} {
		if h.n == 0 {
			continue
		}
		fmt.Fprintf(b, "%-9s", h.name)
		for _, q := range quantiles {
			fmt.Fprintf(b, "  %s %v", q.name, h.quantile(q.q).Round(time.Microsecond))
		}
		fmt.Fprintln(b)
	}
	for i, took := range r.CameBack {
		fmt.Fprintf(b, "drop %d    all back in %.2f s\n", i+1, took)
	}
	if r.Again > 0 {
		fmt.Fprintf(b, "refused   %d requests to write, which were sent again\n", r.Again)
	}
	for what, n := range r.Errors {
		fmt.Fprintf(b, "errors    %d %s\n", n, what)
	}
}
