package resp

import (
	"context"
	"strings"
	"sync"
	"time"

	"keywatch/kv"
	"keywatch/watch"
	"keywatch/web/resp/wire"
)

// A pump is the watch of everything that feeds keyspace notifications and tracking. It runs
// while anybody needs it.
type pump struct {
	mu    sync.Mutex
	users int
	stop  context.CancelFunc
}

// needsPump reports whether a channel or pattern may be one of keyspace notifications.
func needsPump(name string) bool {
	g := glob(name).literal()
	return strings.HasPrefix(g, "__key") || strings.HasPrefix("__key", g)
}

func (v *Server) pumpJoin(name string) error {
	if !needsPump(name) {
		return nil
	}
	return v.pumpStart()
}

func (v *Server) pumpLeave(name string) {
	if needsPump(name) {
		v.pumpStop()
	}
}

// pumpStart has the pump run. When it returns all that happens later is told.
func (v *Server) pumpStart() error {
	p := &v.subscribed.pump
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.users++; p.users > 1 {
		return nil
	}
	w, err := v.watchAll()
	if err != nil {
		p.users--
		return err
	}
	ctx, stop := context.WithCancel(v.life)
	p.stop = stop
	v.running.Go(func() { v.pumpOn(ctx, w) })
	return nil
}

// watchAll opens the watch of a pump.
func (v *Server) watchAll() (*watch.Watcher, error) {
	return v.opts.Door.Hub().Watch(watch.Request{Prefixes: []string{""}, From: watch.FromLive, Mode: watch.Keys})
}

// pumpRetry is how long a pump waits to open its watch again.
const pumpRetry = 50 * time.Millisecond

// pumpOn runs a pump until ctx ends, with another watch where one was ended: a server ends all when it
// has fallen behind. What has happened in between is not known, and is told once the next one is open.
func (v *Server) pumpOn(ctx context.Context, w *watch.Watcher) {
	for {
		v.runPump(ctx, w)
		w.Close()
		if w = v.watchAgain(ctx); w == nil {
			return
		}
		v.lost()
	}
}

// watchAgain opens the watch of a pump as soon as it can be opened; nil says that ctx has ended.
func (v *Server) watchAgain(ctx context.Context) *watch.Watcher {
	for ctx.Err() == nil {
		if w, err := v.watchAll(); err == nil {
			return w
		}
		select {
		case <-time.After(pumpRetry):
		case <-ctx.Done():
		}
	}
	return nil
}

func (v *Server) pumpStop() {
	p := &v.subscribed.pump
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.users--; p.users == 0 {
		p.stop()
	}
}

// runPump tells what happens until ctx or the watch ends.
func (v *Server) runPump(ctx context.Context, w *watch.Watcher) {
	live := false
	for {
		messages, err := w.Next(ctx)
		if err != nil {
			return
		}
		for i := range messages {
			m := &messages[i]
			switch m.Kind {
			case watch.Put, watch.Delete:
				if live {
					v.notify(m)
				}
				v.tracking.changed(m)
			case watch.Reset, watch.Resync:
				live = false
				v.lost()
			case watch.Synced:
				live = true
			}
			if m.HasAt {
				v.tracking.flush(m.At.Rev)
			}
		}
	}
}

// lost ends those who cannot be told what they have missed.
func (v *Server) lost() {
	u := &v.subscribed
	u.mu.Lock()
	for _, all := range []map[string]map[*session]*pushes{u.channels, u.patterns} {
		for name, who := range all {
			for s := range who {
				if needsPump(name) {
					s.abort(errBehind)
				}
			}
		}
	}
	u.mu.Unlock()
	v.tracking.lost()
}

// notify sends the keyspace notifications of one change.
func (v *Server) notify(m *watch.Message) {
	set := mask(v.subscribed.mask.Load())
	if set&(maskKeyspace|maskKeyevent) == 0 {
		return
	}
	event, class := eventOf(m)
	name := v.names.shown(m.Key)
	if m.Kind == watch.Put && m.Entry.Version == 1 && set&maskNew != 0 {
		v.send(set, "new", name, m.Key)
	}
	if set&class != 0 {
		v.send(set, event, name, m.Key)
	}
}

// eventOf returns the name of what happened, and its class.
func eventOf(m *watch.Message) (name string, class mask) {
	if m.Kind == watch.Delete {
		if m.Entry.Cause() == "deleted" {
			return "del", maskGeneric
		}
		return "expired", maskExpired
	}
	switch m.Op() {
	case kv.OpAdd:
		return "incrby", maskString
	case kv.OpAddFloat:
		return "incrbyfloat", maskString
	case kv.OpTouch:
		if m.Entry.Deadline() == 0 {
			return "persist", maskGeneric
		}
		return "expire", maskGeneric
	}
	return "set", maskString
}

// send sends an event of a key, which has a name, to those who are subscribed to it.
func (v *Server) send(set mask, event, name, key string) {
	if set&maskKeyspace != 0 {
		v.publish(keyspacePrefix+name, event, key)
	}
	if set&maskKeyevent != 0 {
		v.publish(keyeventPrefix+event, name, key)
	}
}

// publish sends a message, which tells of key, to the subscribers of a channel.
func (v *Server) publish(channel, payload, key string) {
	u := &v.subscribed
	u.mu.Lock()
	defer u.mu.Unlock()
	for s, p := range u.channels[channel] {
		if !s.mayBeTold(true, key) {
			continue // it is about to end
		}
		b := s.protoNow().Push(nil, 3)
		b = wire.AppendBulk(wire.AppendBulk(wire.AppendBulk(b, "message"), channel), payload)
		s.pushText(p, pushed{text: b})
	}
	for pattern, who := range u.patterns {
		if !glob(pattern).match(channel) {
			continue
		}
		for s, p := range who {
			if !s.mayBeTold(true, key) {
				continue
			}
			b := s.protoNow().Push(nil, 4)
			b = wire.AppendBulk(wire.AppendBulk(wire.AppendBulk(wire.AppendBulk(b, "pmessage"), pattern), channel), payload)
			s.pushText(p, pushed{text: b})
		}
	}
}
