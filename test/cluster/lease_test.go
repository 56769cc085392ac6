package cluster_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"keywatch/test/gate"
	"keywatch/test/load"
)

// leaseTTL is shorter than the time without a leader after a crash.
const leaseTTL = time.Second

// A tenant keeps a lease, at any node, and counts how often it lost one although it had renewed it
// in time.
type tenant struct {
	to     load.Target
	cl     *load.Client
	pulse  *pulse // nil where there is a leader all the time
	name   string
	id     string
	sent   time.Time // when the newest renewal that was acknowledged was sent
	grants int
	fast   float64 // how fast the clocks of servers may be, of which 1 is right
	mu     struct {
		sync.Mutex
		early []string
	}
}

// tenants returns clients that keep leases of servers whose clocks may be as fast as fast.
func (c *cluster) tenants(t testing.TB, n int, seed uint64, beat *pulse, fast float64) (list []*tenant) {
	for id := range n {
		to := c.any(seed + uint64(id))
		list = append(list, &tenant{to: to, cl: load.Of(t, to, patience/3), pulse: beat, name: fmt.Sprintf("tenant.%x.%d", seed, id), fast: fast})
	}
	return list
}

// keep keeps a lease until ctx ends; a new one if it was lost.
func (k *tenant) keep(ctx, hard context.Context) error {
	for ctx.Err() == nil {
		if k.id == "" {
			if err := k.grant(hard); err != nil {
				return err
			}
		}
		rest(ctx, leaseTTL/4)
		if err := k.renew(hard); err != nil {
			return err
		}
	}
	return nil
}

func (k *tenant) grant(ctx context.Context) error {
	k.grants++
	ask := load.Call{Method: "POST", Path: "/v1/leases", Body: fmt.Sprintf(`{"ttl":"%v"}`, leaseTTL)}
	k.sent = time.Now()
	a, err := k.cl.Settle(ctx, k.to, ask.With("Idempotency-Key", fmt.Sprintf("%s.%d", k.name, k.grants)))
	if err != nil {
		return err
	}
	var got struct{ ID string }
	if err := a.Decode(&got); err != nil || a.Status != 201 {
		return fmt.Errorf("grant a lease: status %d: %s", a.Status, a.Body)
	}
	k.id = got.ID
	return nil
}

// renew renews the lease until a node says what became of that.
func (k *tenant) renew(ctx context.Context) error {
	sent := time.Now()
	a, err := k.cl.Settle(ctx, k.to, load.Call{Method: "POST", Path: "/v1/leases/" + k.id + "/keepalive"})
	if err != nil {
		return err
	}
	switch now := time.Now(); {
	case a.Status == 200 || a.Status == 204:
		k.sent = sent
	case a.Status == 404:
		k.lost(now)
		k.id = ""
	default:
		return fmt.Errorf("renew a lease: status %d: %s", a.Status, a.Body)
	}
	return nil
}

// lost notes that the lease had ended at a time.
func (k *tenant) lost(now time.Time) {
	var without time.Duration
	if k.pulse != nil {
		without = k.pulse.surelyLeaderless(k.sent, now)
	}
	if lived := now.Sub(k.sent) - without; time.Duration(float64(lived)*k.fast) < leaseTTL {
		k.mu.Lock()
		defer k.mu.Unlock()
		k.mu.early = append(k.mu.early, fmt.Sprintf("a lease of %v had ended %v after it was renewed, beside %v without a leader", leaseTTL, lived, without))
	}
}

// TestProofFailovers: through -failovers ends of a leader, by a crash, a pause, a stop and a transfer, two
// holders of a lock never both write, and no lease that is renewed in time ends.
func TestProofFailovers(t *testing.T) {
	gate.Long(t)
	t.Parallel()
	c := newCluster(t, 3)
	seed := gate.Seed(t)
	hard := gate.Context(t)
	ctx, cancel := context.WithCancel(hard)
	defer cancel()
	count := &counter{to: c.any(seed), key: "counter", lock: "failovers", patience: patience}
	beat := new(pulse)
	var running sync.WaitGroup
	for id := range 3 {
		running.Go(func() { count.hold(ctx, hard, t, seed, id) })
	}
	running.Go(func() { beat.follow(ctx, c, "pulse/") })
	tenants := c.tenants(t, 4, seed, beat, 1)
	for _, k := range tenants {
		running.Go(func() {
			if err := k.keep(ctx, hard); err != nil && ctx.Err() == nil {
				t.Error(err)
			}
		})
	}
	ends := []func(testing.TB, *cluster, *rand.Rand) func(){kill((*cluster).theLeader), pause((*cluster).theLeader), stop, leaderAlone(lost), transferOnce}
	rng := rand.New(rand.NewPCG(seed, 3))
	for i := range *failovers {
		heal := ends[i%len(ends)](t, c, rng)
		lasts(t, 2*time.Second)
		heal()
		c.awaitReady(t)
		lasts(t, calm)
	}
	cancel()
	running.Wait()
	checkFailovers(t, c, count, tenants)
	t.Logf("counted to %d, %d refused; no write for %v at most", count.mu.added, count.mu.fenced, beat.longest().Round(time.Millisecond))
}

func checkFailovers(t *testing.T, c *cluster, count *counter, tenants []*tenant) {
	t.Helper()
	value, err := count.read(gate.Context(t), load.Of(t, count.to, 0))
	if err != nil {
		t.Fatal(err)
	}
	if err := count.judge(value); err != nil {
		t.Error(err)
	}
	checkTenants(t, tenants)
	c.converge(t, "counter")
}

// checkTenants fails t where leases ended early.
func checkTenants(t *testing.T, tenants []*tenant) {
	t.Helper()
	grants := 0
	for _, k := range tenants {
		grants += k.grants
		for _, what := range k.mu.early {
			t.Errorf("%s: %s", k.name, what)
		}
	}
	t.Logf("%d leases for %d who kept one", grants, len(tenants))
}

// transferOnce has another node lead.
func transferOnce(t testing.TB, c *cluster, rng *rand.Rand) func() {
	others := c.others(c.awaitLeader(t))
	to := c.nodes[others[rng.IntN(len(others))]]
	c.did("%s is to lead", to.name)
	c.change(t, "transfer", to.name)
	return func() {}
}

// If the judge of leases saw nothing, one that ends too early would pass.
func TestLeaseJudge(t *testing.T) {
	t.Parallel()
	now := time.Now()
	for what, c := range map[string]struct {
		age   time.Duration
		early bool
	}{
		"in time": {leaseTTL, false},
		"early":   {leaseTTL - time.Millisecond, true},
	} {
		k := &tenant{pulse: new(pulse), fast: 1, sent: now.Add(-c.age)}
		for at := k.sent; at.Before(now); at = at.Add(10 * time.Millisecond) {
			k.pulse.beat(at)
		}
		if k.lost(now); (len(k.mu.early) > 0) != c.early {
			t.Errorf("%s: %v, want an error: %v", what, k.mu.early, c.early)
		}
	}
}
