package main

import (
	"bufio"
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	kw "keywatch/client"
)

// topCmd shows rates.
type topCmd struct {
	Interval time.Duration `help:"Time between two samples." default:"1s"`
	Once     bool          `help:"Print one table and end, as when the output is no terminal."`
}

// Help is printed by keywatch top --help.
func (*topCmd) Help() string {
	return `
Shows the server's rates over the last interval and its present figures, from
/v1/status and /metrics. On a terminal it runs until Ctrl-C; elsewhere, or with
--once, it prints one table, or with -o json one object.

Examples:

    keywatch top
    keywatch top --interval=5s
    keywatch top -o json | jq .rates.writes
`
}

// Run looks until it is interrupted, or twice.
func (c *topCmd) Run(s *session) error {
	if c.Interval <= 0 {
		return usagef("--interval must be more than 0")
	}
	live := !c.Once && !s.json() && isTerminal(s.stdout.file)
	before, err := lookAt(s)
	if err != nil {
		return err
	}
	for sleep(s.ctx, c.Interval) {
		now, err := lookAt(s)
		switch {
		case s.ctx.Err() != nil:
			return nil
		case err != nil && !live:
			return err
		case err != nil:
			fmt.Fprintf(s.stdout, "\x1b[H\x1b[Jkeywatch: %v\n", err)
			continue
		}
		if err := now.show(s, before, live); err != nil || !live {
			return err
		}
		before = now
	}
	return nil
}

// look is what the server says of itself at one moment.
type look struct {
	at      time.Time
	status  map[string]any
	metrics map[string]float64 // by name and labels
}

// lookAt asks the server.
func lookAt(s *session) (*look, error) {
	status, err := s.kw.Do(s.ctx, &kw.Request{Path: "/v1/status"})
	if err != nil {
		return nil, err
	}
	metrics, err := s.kw.Do(s.ctx, &kw.Request{Path: "/metrics"})
	if err != nil {
		return nil, err
	}
	l := &look{at: time.Now(), metrics: parseMetrics(metrics.Body)}
	return l, decode(status.Body, &l.status)
}

// parseMetrics reads the text format of Prometheus, values by name and labels.
func parseMetrics(text []byte) map[string]float64 {
	m := map[string]float64{}
	lines := bufio.NewScanner(bytes.NewReader(text))
	for lines.Scan() {
		line := lines.Text()
		cut := strings.LastIndexByte(line, ' ')
		if strings.HasPrefix(line, "#") || cut < 0 {
			continue
		}
		if value, err := strconv.ParseFloat(line[cut+1:], 64); err == nil {
			m[line[:cut]] = value
		}
	}
	return m
}

// sum adds up the metrics of a name whose labels contain all of with.
func (l *look) sum(name string, with ...string) (total float64) {
	for series, value := range l.metrics {
		base, labels, _ := strings.Cut(series, "{")
		if base == name && !slices.ContainsFunc(with, func(w string) bool { return !strings.Contains(labels, w) }) {
			total += value
		}
	}
	return total
}

// requests are the rates of requests, by what they do.
func (l *look) requests(methods ...string) (total float64) {
	for _, m := range methods {
		total += l.sum("keywatch_http_requests_total", `method="`+m+`"`)
	}
	return total
}

// rates are what is shown per second: counters, by their names in JSON.
var rates = []struct {
	name  string
	value func(*look) float64
}{
	{"reads", func(l *look) float64 { return l.requests("GET", "HEAD") }},
	{"writes", func(l *look) float64 { return l.requests("PUT", "POST", "DELETE") }},
	{"refused", func(l *look) float64 { return l.sum("keywatch_refused_total") }},
	{"log_entries", func(l *look) float64 { return l.sum("keywatch_log_entries_total") }},
	{"fsyncs", func(l *look) float64 { return l.sum("keywatch_log_fsyncs_total") }},
	{"events", func(l *look) float64 { return l.sum("keywatch_watch_published_total") }},
	{"delivered", func(l *look) float64 { return l.sum("keywatch_watch_delivered_total") }},
	{"lock_grants", func(l *look) float64 { return l.sum("keywatch_lock_grants_total") }},
}

// gauges are shown as they are.
var gauges = []struct{ name, metric string }{
	{"keys", "keywatch_keys"}, {"bytes", "keywatch_bytes"},
	{"connections", "keywatch_http_connections"}, {"watchers", "keywatch_watchers"},
	{"behind", "keywatch_watchers_behind"}, {"leases", "keywatch_leases"}, {"locks", "keywatch_locks"},
	{"lock_waiters", "keywatch_lock_waiters"}, {"queue", "keywatch_queue_commands"},
	{"memory", "process_resident_memory_bytes"},
}

// labels are what a person reads instead of a name.
var labels = map[string]string{
	"refused": "requests refused", "events": "events published", "delivered": "events delivered",
	"bytes": "size of values", "behind": "watchers behind", "queue": "writes queued", "memory": "process memory",
}

func label(name string) string {
	if text := labels[name]; text != "" {
		return text
	}
	return strings.ReplaceAll(name, "_", " ")
}

// show prints l, with the rates since before.
func (l *look) show(s *session, before *look, live bool) error {
	perSecond, now := map[string]float64{}, map[string]float64{}
	seconds := max(l.at.Sub(before.at).Seconds(), 1e-3)
	for _, r := range rates {
		perSecond[r.name] = max(0, (r.value(l)-r.value(before))/seconds)
	}
	for _, g := range gauges {
		now[g.name] = l.sum(g.metric)
	}
	if s.json() {
		return s.printValue(map[string]any{
			"position": l.status["position"], "seconds": seconds, "rates": perSecond, "now": now,
		})
	}
	var b bytes.Buffer
	if live {
		b.WriteString("\x1b[H\x1b[J")
	}
	fmt.Fprintf(&b, "%s  version %v  position %v  durability %v\n\n", s.cli.Server, l.status["version"], l.status["position"], l.status["durability"])
	table := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for i := range max(len(rates), len(gauges)) {
		left, right := "\t", "\t"
		if i < len(rates) {
			left = label(rates[i].name) + "\t" + numberText(perSecond[rates[i].name]) + "/s"
		}
		if i < len(gauges) {
			right = label(gauges[i].name) + "\t" + gaugeText(gauges[i].name, now[gauges[i].name])
		}
		fmt.Fprintf(table, "%s\t  %s\n", left, right)
	}
	table.Flush()
	_, err := s.stdout.Write(b.Bytes())
	return err
}

// gaugeText shows a figure, sizes with their units.
func gaugeText(name string, value float64) string {
	if name == "bytes" || name == "memory" {
		return bytesText(value)
	}
	return numberText(value)
}
