package app_test

import (
	"context"
	"fmt"
	"sync"

	"keywatch/app"
	"keywatch/watch"
)

// told is what a watcher of everything knows. It resumes on the next engine where it was.
type told struct {
	since string
	ended chan struct{} // closed once it follows no engine
	mu    struct {
		sync.Mutex
		has map[string]string
	}
}

// follow watches an engine until that is closed.
func (f *told) follow(e *app.Engine) {
	req := watch.Request{Prefixes: []string{""}}
	if f.since != "" {
		req.From, req.Since = watch.FromPosition, f.since
	}
	f.ended = make(chan struct{})
	go func() {
		defer close(f.ended)
		for m, err := range e.Watch(context.Background(), req) {
			if err != nil {
				return
			}
			f.take(&m)
		}
	}()
}

// take takes in one message.
func (f *told) take(m *watch.Message) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch m.Kind {
	case watch.Reset:
		f.mu.has = make(map[string]string)
	case watch.Put:
		f.mu.has[m.Key] = m.Entry.Value()
	case watch.Delete:
		delete(f.mu.has, m.Key)
	}
	if m.HasAt {
		f.since = m.At.String()
	}
}

// compare says in what the watcher is wrong, "" if in nothing.
func (f *told) compare(have map[string]string) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.mu.has) != len(have) {
		return fmt.Sprintf("knows %d keys, and there are %d", len(f.mu.has), len(have))
	}
	for key, value := range f.mu.has {
		if have[key] != value {
			return "has another value of " + key
		}
	}
	return ""
}
