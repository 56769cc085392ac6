package sim

import (
	"math/rand/v2"
	"slices"

	"keywatch/kv"
)

const (
	// stormSteps is how many things happen in most storms.
	stormSteps = 6000
	// calmRounds is how many ticks the calm after it has at most, in which the cluster must make
	// progress: 30 times the shortest time until an election.
	calmRounds = 300
	// mostServers is how many servers run at once at most.
	mostServers = 7
)

// A History is a cluster that lives through a storm, and through the calm after it.
type History struct {
	*Cluster
	// moving says that members change, steward that this is done with care.
	moving, steward bool
	weather
	acts []act
	sum  int
}

// An act is something that may happen; the higher its weight the more often.
type act struct {
	weight int
	do     func()
}

// NewHistory returns the history of a seed. The random choices of raft itself are those of
// crypto/rand: they must be of the same seed for a history to be told again.
func NewHistory(seed uint64, o Options) *History {
	r := rand.New(rand.NewPCG(seed, 11))
	o.NoPreVote, o.NoCheckQuorum = r.IntN(2) == 0, r.IntN(3) == 0
	o.Members = [...]int{3, 3, 5, 3, 0, 0}[r.IntN(6)]
	h := &History{moving: o.Members == 0 || r.IntN(3) == 0, steward: r.IntN(3) > 0}
	h.Cluster = New(o)
	h.rng, h.weather = r, draw(r, h.moving)
	h.plan()
	return h
}

// Run tells the history, and returns what a judge has found.
func (h *History) Run() error {
	for range h.steps {
		h.step()
		if h.err != nil {
			return h.err
		}
	}
	return h.calm()
}

// plan lists what may happen.
func (h *History) plan() {
	w := &h.weather
	h.acts = []act{
		{w.carry, h.carry},
		{w.tick, func() { h.any().Tick() }},
		{w.write, func() { h.busy((*Node).Write) }},
		{w.deliver, func() { h.busy((*Node).Deliver) }},
		{w.apply, func() { h.busy((*Node).Apply) }},
		{w.offer, func() { h.busy((*Node).Offer) }},
		{w.propose, h.propose},
		{w.read, func() { h.any().Read(h.rng.IntN(len(keys))) }},
		{w.drop, func() { h.Drop(h.oldest()) }},
		{w.repeat, func() { h.Repeat(h.oldest()) }},
		{w.campaign, h.rush},
		{w.notice, h.notice},
		{w.notice, func() { h.any().Succeed() }},
		{w.transfer, func() { h.any().Transfer(h.any().ID) }},
		{w.checkpoint, h.checkpoint},
		{w.compact, func() { h.any().Compact(w.leave) }},
		{w.cut, h.part},
		{w.mend, h.Mend},
		{w.hang, h.hang},
		{w.resume, h.resume},
		{w.kill, func() { h.any().Kill() }},
		{w.power, func() { h.power(h.any()) }},
		{w.blink, h.blink},
		{w.start, func() { h.any().Start() }},
		{w.members, h.change},
		{w.join, h.join},
		{w.retire, func() { h.retire(h.any()) }},
	}
	for _, a := range h.acts {
		h.sum += a.weight
	}
}

// step has one thing happen.
func (h *History) step() {
	x := h.rng.IntN(h.sum)
	for i := range h.acts {
		if x -= h.acts[i].weight; x < 0 {
			h.acts[i].do()
			return
		}
	}
}

// any returns a server.
func (h *History) any() *Node { return h.nodes[h.rng.IntN(len(h.nodes))] }

// busy has one server do something that it has to do.
func (h *History) busy(do func(*Node) bool) {
	first := h.rng.IntN(len(h.nodes))
	for i := range h.nodes {
		if do(h.nodes[(first+i)%len(h.nodes)]) {
			return
		}
	}
}

// propose has a server propose something, mostly one that leads.
func (h *History) propose() {
	n := h.any()
	if l := h.Leader(); l != nil && h.rng.IntN(8) > 0 {
		n = l
	}
	key := h.rng.IntN(len(keys))
	if h.rng.IntN(4) > 0 {
		_, _ = n.Put(key) // who does not lead refuses
		return
	}
	_, _ = n.Propose(&kv.Command{Ops: []kv.Op{{Kind: kv.OpDelete, Key: keys[key]}}}, &kv.Command{
		Checks: []kv.Check{{Kind: kv.CheckExists, Key: keys[(key+1)%len(keys)], N: 1}},
		Ops:    []kv.Op{{Kind: kv.OpPut, Key: keys[key], Value: []byte("again"), TTL: 20e6}},
	})
}

// checkpoint has a server go on with a checkpoint, first one that needs it.
func (h *History) checkpoint() {
	for _, n := range h.nodes {
		if n.ordered && n.Checkpoint() {
			return
		}
	}
	h.any().Checkpoint()
}

// part cuts some servers off, or one way.
func (h *History) part() {
	h.Count[Cuts]++
	if h.rng.IntN(3) == 0 {
		h.Cut(h.any().ID, h.any().ID, h.rng.IntN(2) == 0)
		return
	}
	var some []uint64
	for _, n := range h.nodes {
		if h.rng.IntN(2) == 0 {
			some = append(some, n.ID)
		}
	}
	h.Split(some...)
}

// power cuts the power of a server.
func (h *History) power(n *Node) { n.PowerCut(h.rng.IntN(3*len(n.disk.queue) + 1)) }

// blink cuts the power of one server, or of several, for a moment.
func (h *History) blink() {
	odds := 1 + h.rng.IntN(len(h.nodes))
	for _, n := range h.nodes {
		if h.rng.IntN(len(h.nodes)) < odds {
			h.power(n)
			n.Start()
		}
	}
}

// rush has one server stand for election, or several at once.
func (h *History) rush() {
	for range 1 + h.rng.IntN(3) {
		h.any().Campaign()
	}
}

// notice has some servers believe that the process of their leader has ended, which may be true.
func (h *History) notice() {
	for range 1 + h.rng.IntN(len(h.nodes)) {
		if n := h.any(); n.Notice() && h.rng.IntN(2) == 0 {
			n.Succeed()
		}
	}
}

// oldest chooses one of the oldest messages.
func (h *History) oldest() int { return h.rng.IntN(max(1, min(h.window, len(h.net.flight)))) }

// carry has one of the oldest messages arrive. If messages wait while their way is cut it is the
// next that does not.
func (h *History) carry() {
	for i := h.oldest(); i < len(h.net.flight); i++ {
		if !h.waits || !h.net.cut[h.net.flight[i].link] {
			h.Carry(i)
			return
		}
	}
}

func (h *History) hang() {
	if n := h.any(); n.Up() && !n.disk.hung {
		h.Count[Hangs]++
		n.Hang(true)
	}
}

func (h *History) resume() {
	if n := h.any(); n.disk.hung {
		n.Hang(false)
	}
}

// shuffled returns ids in another order.
func (h *History) shuffled(ids []uint64) []uint64 {
	ids = slices.Clone(ids)
	h.rng.Shuffle(len(ids), func(i, j int) { ids[i], ids[j] = ids[j], ids[i] })
	return ids
}
