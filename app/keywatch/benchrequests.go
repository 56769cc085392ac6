package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// benchCmd generates load.
type benchCmd struct {
	Op      string  `arg:"" enum:"put,get,cas,batch,mixed" help:"put, get, cas, batch or mixed (four gets to one put)."`
	Conns   int     `help:"Connections, each with one request at a time." default:"64"`
	Seconds float64 `help:"How long to measure." default:"10"`
	Size    int     `help:"Bytes in a value." default:"128"`
	Keys    int     `help:"How many keys to spread over." default:"10000"`
	Ops     int     `help:"Operations in one batch." default:"16"`
	Prefix  string  `help:"What the keys begin with." default:"bench/"`
	Keep    bool    `help:"Use keys under the prefix that exist, and leave all of them."`
}

// Help is printed by keywatch bench --help.
func (*benchCmd) Help() string {
	return `
Writes real keys and deletes them at the end: use a server made for it. It does not
start if there are keys under the prefix, unless --keep is given. get, cas and mixed
write every key once before the clock starts. Each connection sends its next request
when the last is answered, so latencies do not show what waits outside. Exits with 1
if a request failed.

Examples:

    keywatch bench mixed
    keywatch bench put --conns=64 --seconds=30
    keywatch bench get --size=1024 --keys=1000000 -o json
`
}

// tally is what one connection has seen.
type tally struct {
	latency   histogram
	conflicts int            // swaps that met another value
	errors    map[string]int // by code
}

// Run measures and prints the result.
func (c *benchCmd) Run(s *session) error {
	if c.Conns < 1 || c.Seconds <= 0 || c.Size < 16 || c.Ops < 1 || c.Keys < 1 {
		return usagef("--conns, --seconds, --keys and --ops must be more than 0, --size at least 16")
	}
	if c.Keys < c.Conns || c.Keys < c.Ops {
		return usagef("--keys must be at least --conns and --ops, which are %d and %d", c.Conns, c.Ops)
	}
	return s.withBenchKeys(c.Prefix, c.Keep, func() error { return c.run(s) })
}

func (c *benchCmd) run(s *session) error {
	l := newLoad(c, s.client)
	defer l.close()
	if c.Op != "put" && c.Op != "batch" {
		if err := l.fill(s.ctx); err != nil {
			return fmt.Errorf("write the keys: %w", err)
		}
	}
	total, took := c.measure(s.ctx, l)
	if err := c.print(s, total, took, l.durability()); err != nil {
		return err
	}
	switch failed := total.failed(); {
	case total.latency.n == 0 && failed > 0:
		return fmt.Errorf("no request was answered well; %d failed", failed)
	case failed > 0:
		return fmt.Errorf("%d requests failed", failed)
	}
	return nil
}

// measure runs all connections for the time asked for, or until interrupted.
func (c *benchCmd) measure(ctx context.Context, l *load) (*tally, time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(c.Seconds*float64(time.Second)))
	defer cancel()
	tallies := make([]tally, c.Conns)
	var wg sync.WaitGroup
	started := time.Now()
	for i := range tallies {
		wg.Go(func() { l.run(ctx, i, &tallies[i]) })
	}
	wg.Wait()
	took := time.Since(started)
	total := &tally{errors: map[string]int{}}
	for i := range tallies {
		total.latency.merge(&tallies[i].latency)
		total.conflicts += tallies[i].conflicts
		for code, n := range tallies[i].errors {
			total.errors[code] += n
		}
	}
	return total, took
}

func (t *tally) failed() (n int) {
	for _, c := range t.errors {
		n += c
	}
	return n
}

// quantiles are the latencies that a result shows.
var quantiles = []struct {
	name string
	q    float64
}{{"p50", 0.5}, {"p90", 0.9}, {"p99", 0.99}, {"p999", 0.999}, {"max", 1}}

// benchResult is the result as JSON.
type benchResult struct {
	Op           string           `json:"op"`
	Conns        int              `json:"conns"`
	Keys         int              `json:"keys"`
	Size         int              `json:"size"`
	OpsInBatch   int              `json:"ops_in_batch,omitempty"`
	Durability   string           `json:"durability,omitempty"`
	Seconds      float64          `json:"seconds"`
	Requests     uint64           `json:"requests"`
	OpsPerSecond float64          `json:"ops_per_second"`
	Conflicts    int              `json:"conflicts"`
	Errors       map[string]int   `json:"errors"`
	LatencyUS    map[string]int64 `json:"latency_us"`
}

func (c *benchCmd) result(t *tally, took time.Duration, durability string) *benchResult {
	r := &benchResult{
		Op: c.Op, Conns: c.Conns, Keys: c.Keys, Size: c.Size, Durability: durability,
		Seconds: took.Seconds(), Requests: t.latency.n, Conflicts: t.conflicts, Errors: t.errors,
		LatencyUS: map[string]int64{},
	}
	ops := r.Requests
	if c.Op == "batch" {
		r.OpsInBatch = c.Ops
		ops *= uint64(c.Ops)
	}
	r.OpsPerSecond = float64(ops) / r.Seconds
	for _, q := range quantiles {
		r.LatencyUS[q.name] = t.latency.quantile(q.q).Microseconds()
	}
	return r
}

func (c *benchCmd) print(s *session, t *tally, took time.Duration, durability string) error {
	r := c.result(t, took, durability)
	if s.json() {
		return s.printValue(r)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %.1f s, %d connections, %d keys, %d-byte values", c.Op, r.Seconds, c.Conns, c.Keys, c.Size)
	if durability != "" {
		fmt.Fprintf(&b, ", %s", durability)
	}
	fmt.Fprintf(&b, "\nrequests  %d\nops/s     %.0f\nlatency ", r.Requests, r.OpsPerSecond)
	for _, q := range quantiles {
		fmt.Fprintf(&b, "  %s %v", q.name, t.latency.quantile(q.q).Round(time.Microsecond))
	}
	b.WriteByte('\n')
	if t.conflicts > 0 {
		fmt.Fprintf(&b, "conflicts %d\n", t.conflicts)
	}
	for _, code := range slices.Sorted(maps.Keys(t.errors)) {
		fmt.Fprintf(&b, "errors    %d %s\n", t.errors[code], code)
	}
	return s.printf("%s", b.String())
}
