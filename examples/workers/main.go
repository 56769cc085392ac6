// Command workers is one member of a worker pool. Jobs are keys below jobs/; each
// is done once, however many members there are and whichever of them die. One
// member leads and publishes how many are done.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"

	"keywatch/client"
)

func main() {
	server := flag.String("server", client.DefaultEndpoint, "the keywatch server")
	id := flag.String("id", fmt.Sprintf("worker-%d", os.Getpid()), "name of this member")
	n := flag.Int("n", 4, "jobs done at a time")
	work := flag.Duration("work", 100*time.Millisecond, "how long a job takes")
	ttl := flag.Duration("ttl", 5*time.Second, "how long the pool waits for a member that is silent")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	c, err := client.New(client.Options{Endpoints: []string{*server}})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	p := &pool{c: c, id: *id, ttl: *ttl, work: *work}
	if err := p.run(ctx, *n); err != nil && ctx.Err() == nil {
		log.Print(err)
	}
}

// pool is this member.
type pool struct {
	c         *client.Client
	id        string
	ttl, work time.Duration

	lease *client.Lease
	todo  chan string // names of jobs that may be free; closed by run
}

// run works until ctx ends or the member's lease does.
func (p *pool) run(ctx context.Context, n int) (err error) {
	if p.lease, err = p.c.Grant(ctx, p.ttl); err != nil {
		return err
	}
	defer p.lease.Revoke(context.WithoutCancel(ctx)) // and with it all claims
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	p.todo = make(chan string, 1000)
	var wg sync.WaitGroup
	defer wg.Wait()
	for range n {
		wg.Go(p.worker(ctx))
	}
	wg.Go(func() { p.lead(ctx) })
	wg.Go(func() { p.look(ctx) })
	fmt.Printf("%s is in the pool\n", p.id)
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-p.lease.Done():
		cancel()
		return p.lease.Err()
	}
}

// look offers jobs to the workers: new ones, and those whose claim is gone.
func (p *pool) look(ctx context.Context) {
	m := p.c.Mirror(client.MirrorOptions{Prefixes: []string{"jobs/"}, OnChange: func(changes []client.Change) {
		for _, change := range changes {
			if change.New != nil {
				p.offer(ctx, change.Key)
			}
		}
	}})
	defer m.Close()
	for event, err := range p.c.Watch(ctx, client.WatchOptions{Prefixes: []string{"claims/"}, Live: true}) {
		switch {
		case err != nil:
			return
		case event.Type == client.EventDelete && event.Cause != "deleted":
			p.offer(ctx, "jobs/"+strings.TrimPrefix(event.Key, "claims/"))
		case event.Type == client.EventSynced: // claims may have gone unseen
			for key := range m.All("") {
				p.offer(ctx, key)
			}
		}
	}
}

func (p *pool) offer(ctx context.Context, job string) {
	select {
	case p.todo <- strings.TrimPrefix(job, "jobs/"):
	case <-ctx.Done():
	}
}

// worker does jobs until ctx ends.
func (p *pool) worker(ctx context.Context) func() {
	return func() {
		for {
			select {
			case <-ctx.Done():
				return
			case job := <-p.todo:
				if err := p.do(ctx, job); err != nil && ctx.Err() == nil {
					log.Printf("job %s: %v", job, err)
				}
			}
		}
	}
}

// do does one job, unless it is done or another does it. The claim is attached to this
// member's lease: if the member dies it goes, and the job is free again.
func (p *pool) do(ctx context.Context, job string) error {
	claim, err := p.c.Batch(ctx, client.Batch{
		Checks: []client.Check{client.CheckExists("jobs/" + job), client.CheckAbsent("claims/" + job)},
		Ops: []client.Op{
			client.OpPut("claims/"+job, []byte(p.id), client.OnLease(p.lease.ID())), client.OpGet("jobs/" + job),
		},
	})
	if errors.Is(err, client.ErrConflict) {
		return nil
	}
	if err != nil {
		return err
	}
	select { // the work itself
	case <-time.After(p.work):
	case <-ctx.Done():
		return ctx.Err()
	}
	result := fmt.Appendf(nil, "%s, done by %s", claim.Results[1].Entry.Value, p.id)
	// The result counts only if the claim is still ours: done once, or not at all.
	_, err = p.c.Batch(ctx, client.Batch{
		Checks: []client.Check{client.CheckRev("claims/"+job, claim.Rev)},
		Ops:    []client.Op{client.OpPut("results/"+job, result), client.OpDelete("jobs/" + job), client.OpDelete("claims/" + job)},
	})
	return err
}

// lead stands for election for as long as ctx lasts, and while it leads
// publishes how many jobs are done.
func (p *pool) lead(ctx context.Context) {
	for ctx.Err() == nil {
		lead, err := p.c.Election("pool", p.ttl).Campaign(ctx, p.id)
		if err != nil {
			continue // Campaign has waited, or ctx has ended
		}
		fmt.Printf("%s leads\n", p.id)
		term, cancel := lead.Context(ctx)
		if err := p.publish(term, lead); err != nil && term.Err() == nil {
			log.Printf("publish: %v", err)
		}
		cancel()
		_ = lead.Resign(context.WithoutCancel(ctx))
	}
}

// publish writes the number of results whenever it changes. The write names the
// fence: a leader that was paused cannot overwrite what its successor wrote.
func (p *pool) publish(ctx context.Context, lead *client.Leadership) error {
	changed := make(chan struct{}, 1)
	m := p.c.Mirror(client.MirrorOptions{Prefixes: []string{"results/"}, OnChange: func([]client.Change) {
		select {
		case changed <- struct{}{}:
		default:
		}
	}})
	defer m.Close()
	if err := m.Synced(ctx); err != nil {
		return err
	}
	for {
		if _, err := lead.Put(ctx, "pool/done", fmt.Appendf(nil, "%d by %s", m.Len(), p.id)); err != nil {
			return err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil
		}
	}
}
