package web

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"keywatch/kv"
	"keywatch/kv/kvjson"
	"keywatch/ratelimit"
	"keywatch/web/api"
)

//go:embed openapi.yaml
var openAPI []byte

// operate answers the routes for the operator.
func (r *request) operate() error {
	switch r.route {
	case routeBackup:
		return r.backup()
	case routeReady:
		return r.ready()
	}
	if err := r.params.done(); err != nil {
		return err
	}
	switch r.route {
	case routeHealth:
		r.text(200, "ok\n")
		return nil
	case routeStatus:
		return r.share(r.s.statusPage, typeJSON)
	case routeMetrics:
		return r.share(r.s.metricsPage, typeMetrics)
	case routeOpenAPI:
		r.f.Response.Header.SetContentTypeBytes(typeYAML)
		r.f.Response.SetBodyRaw(openAPI)
		return nil
	case routeCluster:
		return r.clusterPage()
	case routePromote, routeRemove, routeTransfer:
		return r.changeMembers()
	case routeCheckpoint:
		return r.work(r.s.jobs.checkpoint)
	case routeCompact:
		return r.work(r.s.jobs.compact)
	}
	return r.work(r.s.jobs.migrate)
}

func (r *request) text(status int, body string) {
	r.f.Response.SetStatusCode(status)
	r.f.Response.Header.SetContentTypeBytes(typeText)
	r.f.Response.SetBodyString(body)
}

// A statusDocument is the body of /v1/status.
type statusDocument struct {
	Version     string `json:"version"`
	Ready       bool   `json:"ready"`
	Reason      string `json:"reason,omitempty"`
	Position    string `json:"position"`
	Durability  string `json:"durability"`
	Keys        int    `json:"keys"`
	Bytes       int64  `json:"bytes"`
	LogTime     int64  `json:"log_time_ms"`
	Index       uint64 `json:"index"`
	Leases      int    `json:"leases"`
	Locks       int    `json:"locks"`
	LockWaiters int    `json:"lock_waiters"`
	Watchers    int    `json:"watchers"`
	Streams     int    `json:"streams"`
	Connections int64  `json:"connections"`
	// ClientMemory is what callers make the server hold in memory.
	ClientMemory *clientMemory `json:"client_memory,omitempty"`
	Detail       any           `json:"detail,omitempty"`
}

// A clientMemory is what callers make the server hold in memory, in bytes by kind, the
// bounds on it, and how often there was no room, by kind.
type clientMemory struct {
	Limit     int64             `json:"limit"`
	PerCaller int64             `json:"per_caller"`
	Used      map[string]int64  `json:"used"`
	Refused   map[string]uint64 `json:"refused"`
	Callers   int               `json:"callers"`
	Waiting   int               `json:"waiting"`
}

// clientMemoryOf returns the figures of a budget, nil if there is none.
func clientMemoryOf(b *ratelimit.Budget) *clientMemory {
	if b == nil {
		return nil
	}
	s := b.Stats()
	m := &clientMemory{
		Limit: s.Limit, PerCaller: s.PerCaller, Callers: s.Callers, Waiting: s.Waiting,
		Used: make(map[string]int64), Refused: make(map[string]uint64),
	}
	for _, k := range ratelimit.Kinds() {
		m.Used[k.String()], m.Refused[k.String()] = s.Used[k], s.Refused[k]
	}
	return m
}

// status returns the body of /v1/status.
func (s *Server) status() (rendered, error) {
	state := s.door.Server().State()
	stats := state.Stats()
	d := statusDocument{
		Version: s.opts.Version, Ready: true, Position: state.Position().String(),
		Durability: string(s.team.now().durability), Keys: stats.Keys, Bytes: stats.Bytes,
		LogTime: stats.Time, Index: stats.Index,
		Leases: stats.Leases, Locks: stats.Locks, LockWaiters: stats.LockWaiters, Watchers: s.door.Hub().Stats().Watchers,
		Streams: s.streams.Len(), Connections: s.conns.open.Load(), ClientMemory: clientMemoryOf(s.opts.Budget),
	}
	if err := s.opts.Ready(); err != nil {
		d.Ready, d.Reason = false, string(api.FailureOf(err).Code)
	}
	if s.opts.Admin.Status != nil {
		d.Detail = s.opts.Admin.Status()
	}
	body, err := json.Marshal(&d)
	return rendered{append(body, '\n'), state.Position()}, err
}

// jobs are what the operator has done. However many ask for a job at once, it runs at most twice
// for them: those that wait while it runs share the next run.
type jobs struct{ checkpoint, compact, migrate *rendering }

func newJobs(s *Server) jobs {
	job := func(do func(context.Context) error) *rendering {
		return newRendering(func() (rendered, error) { return rendered{}, do(s.draining) })
	}
	a := &s.opts.Admin
	return jobs{job(a.Checkpoint), job(a.Compact), job(a.Migrate)}
}

// work answers when a job of the operator's that began after the request is done. A stop ends it at
// once: it can be asked for again, and would outlast any grace.
func (r *request) work(job *rendering) error {
	if err := r.encoding(); err != nil {
		return err
	}
	began := time.Now()
	if _, err := job.get(); err != nil {
		if r.s.draining.Err() != nil && errors.Is(err, context.Canceled) {
			err = fmt.Errorf("%w: the work is not done", kv.ErrStopping)
		}
		return err
	}
	r.out = kvjson.AppendNumber(append(r.out[:0], '{'), "took_ms", uint64(time.Since(began).Milliseconds()))
	r.out = append(r.out, '}')
	r.json(200)
	return nil
}
