//go:build linux

package fanout

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
)

// heapFigures are a Go server's own figures.
type heapFigures struct{ inUse, stacks, goroutines float64 }

var errNoHeap = errors.New("another server's heap is not known")

func noHeap(context.Context) (heapFigures, error) { return heapFigures{}, errNoHeap }

// base returns the server's address without a slash at its end.
func (t *target) base() string { return strings.TrimSuffix(t.o.Server, "/") }

// heap asks keywatch's /metrics.
func (t *target) heap(ctx context.Context) (h heapFigures, err error) {
	req, err := http.NewRequestWithContext(ctx, "GET", t.base()+"/metrics", nil)
	if err != nil {
		return h, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return h, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		return h, fmt.Errorf("metrics: status %d: %w", resp.StatusCode, err)
	}
	for line := range strings.Lines(string(text)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		n, err := strconv.ParseFloat(value, 64)
		if err != nil {
			continue
		}
		switch name {
		case "go_memstats_heap_inuse_bytes":
			h.inUse = n
		case "go_memstats_stack_inuse_bytes":
			h.stacks = n
		case "go_goroutines":
			h.goroutines = n
		}
	}
	return h, nil
}

// cutHeader splits "Name: value".
func cutHeader(line string) (name, value string) {
	name, value, _ = strings.Cut(line, ":")
	return name, strings.TrimSpace(value)
}
