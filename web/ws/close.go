package ws

import (
	"strconv"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"keywatch/web/wire"
)

// closeSilent closes a socket whose client does not answer pings.
const closeSilent = 3008

// A closeReason is a code that a socket is closed with for another reason than a
// api.Code, which has its own in the table of codes.
type closeReason struct {
	code int
	// comeBack says that the client should try again after a while.
	comeBack bool
	meaning  string
}

// closeReasons is the one table of those codes, by the rule of all close codes:
// clients reconnect after 1012 and 3000 to 3499, and after no other.
var closeReasons = []closeReason{
	{wire.CloseNormal, false, "the client closed"},
	{wire.CloseGoingAway, false, "the client went away"},
	{wire.CloseNoStatus, false, "the client closed and did not say why"},
	{wire.CloseProtocol, false, "the client broke the protocol of WebSocket"},
	{wire.CloseUnsupported, false, "a message was binary"},
	{wire.CloseNotUTF8, false, "a message was not UTF-8"},
	{wire.CloseTooBig, false, "a message was larger than the limit on bodies"},
	{wire.CloseRestart, true, "the server stops"},
	{closeSilent, true, "the client did not answer a ping"},
}

// closeCounts counts sockets by what they were closed with; the last place is
// for codes that only clients use.
type closeCounts struct{ n [16]atomic.Int64 }

func (c *closeCounts) count(code int) {
	for i := range closeReasons {
		if closeReasons[i].code == code {
			c.n[i].Add(1)
			return
		}
	}
	c.n[len(c.n)-1].Add(1)
}

var descCloses = prometheus.NewDesc("keywatch_sockets_closed_total", "WebSockets closed, by the code in the first close frame.", []string{"code"}, nil)

func (c *closeCounts) collect(ch chan<- prometheus.Metric) {
	for i := range closeReasons {
		ch <- prometheus.MustNewConstMetric(descCloses, counter, float64(c.n[i].Load()), strconv.Itoa(closeReasons[i].code))
	}
	ch <- prometheus.MustNewConstMetric(descCloses, counter, float64(c.n[len(c.n)-1].Load()), "other")
}
