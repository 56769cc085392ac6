package cluster

import (
	"encoding/json"
	"time"
)

// reportEvery is how often a server tells the leader how it does.
const reportEvery = 500 * time.Millisecond

// A report is the newest one of another server.
type report struct {
	at      time.Time
	applied uint64
	lag     time.Duration
	room    bool
	// installing says that the state of another server takes the place of its own.
	installing bool
	about      About
}

// A reportFrame says how a server does.
type reportFrame struct {
	Applied    uint64 `json:"applied"`
	LagMS      int64  `json:"lag_ms"`
	Room       bool   `json:"room"`
	Installing bool   `json:"installing,omitempty"`
	// Digests are those of its state after entries that others may have too.
	Digests []digest `json:"digests,omitempty"`
	About
}

func (f *reportFrame) encode() []byte {
	b, err := json.Marshal(f)
	if err != nil {
		panic(err) // it has only text and numbers
	}
	return append([]byte{frameReport}, b...)
}

// A removedFrame tells a server that it was removed.
type removedFrame struct{}

func (removedFrame) encode() []byte { return []byte{frameRemoved} }

// sendReport tells the leader how this server does, now and then.
func (n *Node) sendReport() {
	l := &n.loop
	leader := l.core.Leader()
	if now := time.Now(); leader != 0 && leader != n.opts.ID && now.Sub(l.reported) >= reportEvery {
		l.reported = now
		f := reportFrame{l.applied.Index, n.Lag().Milliseconds(), n.room() == nil, n.installs(), n.digests(), n.about()}
		n.opts.Send(leader, Control, f.encode())
	}
}

// takeReport takes a report of another server.
func (n *Node) takeReport(from uint64, f *reportFrame) {
	r := n.Roster()
	m, ok := r.Member(ServerID(from))
	if !ok {
		return
	}
	if n.loop.leading != 0 {
		n.compare(m, f.Digests)
	}
	if n.reports == nil {
		n.reports = make(map[uint64]*report)
	}
	n.reports[from] = &report{time.Now(), f.Applied, time.Duration(f.LagMS) * time.Millisecond, f.Room, f.Installing, f.About}
}
