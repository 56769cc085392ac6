package k8s_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"keywatch/deploy/try"
)

// If three pods did not find each other by their names, or one that is killed, moved or
// updated lost what was acknowledged, the overlay would be worth less than one server.
func TestThreePods(t *testing.T) {
	t.Parallel()
	n := newNode(t, "three")
	n.start()
	for _, p := range n.pods {
		p.awaitStarted()
	}
	w := n.startWriter()

	// As a kubelet and a StatefulSet replace pods: the last first, each with a new address.
	for i := len(n.pods) - 1; i >= 0; i-- {
		p := n.pods[i]
		p.kill("TERM")
		if code := p.container.Wait(); code != 0 {
			t.Errorf("%s: exit code %d", p.name, code)
		}
		n.place(p)
		p.run()
		p.awaitStarted()
		w.awaitMore(t)
	}
	// As a whole cluster that loses power: all have new addresses.
	for _, p := range n.pods {
		p.kill("KILL")
	}
	for _, p := range n.pods {
		p.container.Wait()
	}
	n.place(n.pods...)
	for _, p := range n.pods {
		p.run()
	}
	w.awaitMore(t)

	n.scale(5)
	for _, p := range n.pods {
		p.awaitStarted()
	}
	try.Until(t, func() bool { return n.voters() == 5 }, "five voters")
	w.awaitMore(t)
	w.check(t, n.pods[4])
}

// voters returns how many voters the cluster has, as any pod says.
func (n *node) voters() (count int) {
	var answer struct {
		Members []struct{ Name, Role, State string }
	}
	status, body := n.pods[0].do(http.MethodGet, "http://"+n.pods[0].address()+":7070/v1/cluster", "", "")
	if status != http.StatusOK || json.Unmarshal([]byte(body), &answer) != nil {
		return 0
	}
	for _, m := range answer.Members {
		if m.Role == "voter" {
			count++
		}
	}
	return count
}

// A writer writes key after key to any pod that takes it, until the test ends.
type writer struct {
	node *node
	mu   sync.Mutex
	keys []string // that were acknowledged
	n    atomic.Int64
}

// startWriter starts a writer, which ends before the network is removed.
func (n *node) startWriter() *writer {
	w := &writer{node: n}
	stop, done := make(chan struct{}), make(chan struct{})
	targets := n.pods
	go func() {
		defer close(done)
		// Steady, and light: other tests run beside it.
		pace := time.NewTicker(10 * time.Millisecond)
		defer pace.Stop()
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			case <-pace.C:
			}
			key := fmt.Sprintf("k/%d", i)
			p := targets[i%len(targets)]
			if status := p.put(key); status == http.StatusCreated || status == http.StatusOK {
				w.mu.Lock()
				w.keys = append(w.keys, key)
				w.mu.Unlock()
				w.n.Add(1)
			}
		}
	}()
	n.t.Cleanup(func() { close(stop); <-done })
	return w
}

// awaitMore waits until twenty more writes are acknowledged.
func (w *writer) awaitMore(t *testing.T) {
	t.Helper()
	from := w.n.Load()
	try.Until(t, func() bool { return w.n.Load() >= from+20 }, "twenty more writes than %d", from)
}

// check fails t if a pod lacks a write that was acknowledged.
func (w *writer) check(t *testing.T, p *pod) {
	w.mu.Lock()
	keys := w.keys
	w.mu.Unlock()
	for _, key := range keys {
		if status, body := p.do(http.MethodGet, "http://"+p.address()+":7070/v1/kv/"+key, "", ""); status != http.StatusOK || body != key {
			t.Errorf("%s: %d %s", key, status, body)
		}
	}
	t.Logf("%d writes were acknowledged", len(keys))
}

// put writes a key with itself as the value and returns the status, 0 if there is no answer.
func (p *pod) put(key string) int {
	status, _ := p.do(http.MethodPut, "http://"+p.address()+":7070/v1/kv/"+key, "", key)
	return status
}
