package otlp

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// pieceSpans is how many spans one request has at most.
	pieceSpans = 512
	// collectFor is how long spans are collected before they are sent.
	collectFor = time.Second
	// requestTimeout bounds a request, answerMax what is read of its answer, in bytes.
	requestTimeout = 10 * time.Second
	answerMax      = 4 << 10
	// firstPause and longestPause are between two tries of a request, unless the collector says how
	// long, giveUpAfter how long one is tried.
	firstPause   = time.Second
	longestPause = 10 * time.Second
	giveUpAfter  = time.Minute
)

// An Exporter sends the spans of a tracer. It keeps at most pieceSpans of them beside those that the
// tracer keeps. It is safe for concurrent use.
type Exporter struct {
	opts   Options
	url    *url.URL
	header http.Header
	client *http.Client

	sent, lost atomic.Uint64
	stop       context.CancelFunc
	running    sync.WaitGroup
	// troubled says that the last piece was not taken, so that the log is told once.
	troubled bool
}

// Open begins to send spans. It fails if the options cannot be used; a collector that is not there
// is no error. Close ends it.
func Open(opts Options) (*Exporter, error) {
	u, err := CheckEndpoint(opts.Endpoint)
	if err != nil {
		return nil, err
	}
	header, err := CheckHeaders(opts.Headers)
	if err != nil {
		return nil, err
	}
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	x := &Exporter{opts: opts, url: u, header: header, client: &http.Client{
		Timeout: requestTimeout, Transport: opts.Transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	ctx, stop := context.WithCancel(context.Background())
	x.stop = stop
	x.running.Go(func() { x.run(ctx) })
	return x, nil
}

// Counts returns how many spans collectors have taken, and how many were lost because none took
// them.
func (x *Exporter) Counts() (sent, lost uint64) { return x.sent.Load(), x.lost.Load() }

// Close sends what there is, each piece once, until ctx ends. It may be called twice.
func (x *Exporter) Close(ctx context.Context) {
	x.stop()
	x.running.Wait()
	for ctx.Err() == nil {
		spans := x.opts.Tracer.Take(pieceSpans)
		if len(spans) == 0 {
			break
		}
		body, err := encode(x.opts.Resource, x.opts.Version, spans)
		if err == nil {
			_, err = x.post(ctx, body)
		}
		x.count(len(spans), err)
	}
	x.client.CloseIdleConnections()
}

// run sends spans until ctx ends.
func (x *Exporter) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-x.opts.Tracer.Wake:
		}
		if !pause(ctx, collectFor) {
			return
		}
		spans := x.opts.Tracer.Take(pieceSpans)
		if len(spans) == 0 {
			continue
		}
		body, err := encode(x.opts.Resource, x.opts.Version, spans)
		if err == nil {
			err = x.deliver(ctx, body)
		}
		x.count(len(spans), err)
	}
}

// count counts spans that were sent, or that were not for err, of which the log is told once.
func (x *Exporter) count(n int, err error) {
	if err == nil {
		x.sent.Add(uint64(n))
		x.troubled = false
		return
	}
	x.lost.Add(uint64(n))
	if !x.troubled {
		x.troubled = true
		x.opts.Logger.Warn("spans were lost: the collector does not take them", "spans", n, "err", err)
	}
}

// deliver sends a piece, again and again while a collector is busy or not there, until giveUpAfter.
func (x *Exporter) deliver(ctx context.Context, body []byte) error {
	until := time.Now().Add(giveUpAfter)
	for wait := firstPause; ; wait = min(2*wait, longestPause) {
		after, err := x.post(ctx, body)
		if err == nil || after < 0 || ctx.Err() != nil {
			return err
		}
		after = max(after, wait)
		if time.Now().Add(after).After(until) || !pause(ctx, after) {
			return err
		}
	}
}

// post sends a piece once. If that fails after is how long the collector asks to wait, 0 if it does
// not say, and negative if it is of no use to try again.
func (x *Exporter) post(ctx context.Context, body []byte) (after time.Duration, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, x.url.String(), bytes.NewReader(body))
	if err != nil {
		return -1, err
	}
	req.Header = x.header.Clone()
	req.Header.Set("Content-Type", "application/x-protobuf")
	req.Header.Set("User-Agent", "keywatch/"+x.opts.Version)
	resp, err := x.client.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, answerMax))
	switch resp.StatusCode {
	case 200, 202:
		return 0, nil
	case 429, 502, 503, 504: // as OTLP says
		seconds, _ := strconv.Atoi(resp.Header.Get("Retry-After"))
		return time.Duration(max(0, seconds)) * time.Second, fmt.Errorf("the collector answers %s", resp.Status)
	}
	return -1, fmt.Errorf("the collector answers %s", resp.Status)
}

// pause waits for d, and reports false if ctx ends first.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
