package objecttest

import (
	"context"
	"fmt"
	"iter"
	"maps"
	"strings"
	"sync"
	"time"

	"keywatch/persist/object"
)

// A Memory is a store that does no I/O. Its zero value is empty. It is safe for
// concurrent use.
type Memory struct {
	mu struct {
		sync.Mutex
		objects map[string]kept
	}
}

type kept struct {
	b  []byte
	at time.Time
}

var _ object.Store = (*Memory)(nil)

// Put implements object.Store.
func (m *Memory) Put(ctx context.Context, name string, b []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, there := m.mu.objects[name]; there {
		return object.ErrExists
	}
	if m.mu.objects == nil {
		m.mu.objects = make(map[string]kept)
	}
	m.mu.objects[name] = kept{append([]byte(nil), b...), time.Now()}
	return ctx.Err()
}

// GetRange implements object.Store.
func (m *Memory) GetRange(ctx context.Context, name string, off, n int64) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	o, there := m.mu.objects[name]
	if !there {
		return nil, object.ErrNotFound
	}
	if off < 0 || n < 0 || off > int64(len(o.b))-n {
		return nil, fmt.Errorf("%w: it has %d bytes", object.ErrDamaged, len(o.b))
	}
	return append([]byte(nil), o.b[off:off+n]...), ctx.Err()
}

// Delete implements object.Store.
func (m *Memory) Delete(ctx context.Context, name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.mu.objects, name)
	return ctx.Err()
}

// List implements object.Store.
func (m *Memory) List(ctx context.Context, prefix string) iter.Seq2[object.Info, error] {
	m.mu.Lock()
	all := maps.Clone(m.mu.objects)
	m.mu.Unlock()
	return func(yield func(object.Info, error) bool) {
		for name, o := range all {
			if strings.HasPrefix(name, prefix) && !yield(object.Info{Name: name, Size: int64(len(o.b)), Modified: o.at}, nil) {
				return
			}
		}
	}
}
