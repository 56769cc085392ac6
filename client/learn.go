package client

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// learnEvery is how often a client that is used asks who the members are, and learnTime how long that
	// may take.
	learnEvery, learnTime = time.Minute, 5 * time.Second
	// maxLearned bounds the endpoints that a client learns.
	maxLearned = 64
)

// A directory is the endpoints of a client: those that it was given, which are never forgotten, and
// behind them members of their cluster that have answered. It only grows, so that a place in it stays
// what it is.
type directory struct {
	list atomic.Pointer[[]string]
	// seeds is how many were given.
	seeds int
	// looked is when the members were asked for, in nanoseconds since began; looking says that they are.
	began   time.Time
	looked  atomic.Int64
	looking atomic.Bool
	running sync.WaitGroup
	life    context.Context // ends with Close
	end     context.CancelFunc
}

func (d *directory) init(seeds []string) {
	d.list.Store(&seeds)
	d.seeds, d.began = len(seeds), time.Now()
	d.looked.Store(-int64(learnEvery))
	d.life, d.end = context.WithCancel(context.Background())
}

// all returns the endpoints. They must not be changed.
func (d *directory) all() []string { return *d.list.Load() }

// close ends what is being learned.
func (d *directory) close() {
	d.end()
	d.running.Wait()
}

// learn asks who the members are, in the background, if that was not done of late. It is called when a
// server has answered.
func (c *Client) learn() {
	d := &c.dir
	now := int64(time.Since(d.began))
	if c.opts.Fixed || now-d.looked.Load() < int64(learnEvery) || d.life.Err() != nil || !d.looking.CompareAndSwap(false, true) {
		return
	}
	d.looked.Store(now)
	d.running.Go(func() {
		defer d.looking.Store(false)
		ctx, cancel := context.WithTimeout(d.life, learnTime)
		defer cancel()
		c.look(ctx)
	})
}

// look adds the members of the cluster that answer and are not known yet. A name that the cluster
// advertises may not resolve where the client is, or be that of another server.
func (c *Client) look(ctx context.Context) {
	list := c.dir.all()
	at := int(c.preferred.Load())
	said, ok := c.membersAt(ctx, list[at])
	if !ok || said.Cluster == "" {
		return
	}
	for _, m := range said.Members {
		url, err := parseEndpoint(m.URL)
		if m.URL == "" || err != nil || slices.Contains(list, url) || len(list) >= c.dir.seeds+maxLearned {
			continue
		}
		if other, ok := c.membersAt(ctx, url); ok && other.Cluster == said.Cluster {
			list = append(slices.Clip(list), url)
			c.dir.list.Store(&list)
		}
	}
}

// leave returns the endpoint to use instead of one that is left, whose server has named others: the first of them that
// is known, else next. Requests do not begin at the one that is left either. Servers that are not known are
// asked in the background.
func (c *Client) leave(next, left int, named []string) int {
	list, strange := c.dir.all(), false
	for _, text := range named {
		url, err := parseEndpoint(text)
		if err != nil {
			continue
		}
		at := slices.Index(list, url)
		if at >= 0 && at != left {
			c.preferred.CompareAndSwap(uint32(left), uint32(at))
			return at
		}
		strange = strange || at < 0
	}
	if strange {
		c.dir.looked.Store(-int64(learnEvery)) // with the next answer
	}
	return next
}

// members are what is read of /v1/cluster.
type members struct {
	Cluster string
	Members []struct{ URL string }
}

// membersAt asks one endpoint for the members.
func (c *Client) membersAt(ctx context.Context, base string) (m members, ok bool) {
	req, err := c.newRequest(ctx, base, &Request{Path: "/v1/cluster"})
	if err != nil {
		return m, false
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return m, false
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	return m, err == nil && resp.StatusCode == http.StatusOK && json.Unmarshal(body, &m) == nil
}
