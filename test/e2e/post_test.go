package e2e_test

import (
	"fmt"
	"net"

	"keywatch/watch/watchtest"
)

// posters are streamers that ask by POST, for lines of JSON.
func posters() []*streamer {
	all := []string{""}
	return []*streamer{
		{name: "posted", post: `"prefixes":[""]`, asked: watchtest.Record{Prefixes: all}},
		{name: "posted, some keys, no values", post: `"keys":["t0/1","t1/2"],"prefixes":["t2/1"],"mode":"keys"`,
			asked: watchtest.Record{Keys: []string{"t0/1", "t1/2"}, Prefixes: []string{"t2/1"}, NoValues: true}},
		{name: "posted, latest, seldom", post: `"prefixes":[""],"mode":"latest","interval":"15ms"`, asked: watchtest.Record{Prefixes: all, Latest: true}},
		{name: "posted, late", post: `"prefixes":["t"]`, asked: watchtest.Record{Prefixes: []string{"t"}}, late: 120},
	}
}

// ask sends a watch as a POST, which resumes by its body.
func (s *streamer) ask(conn net.Conn, address string) {
	body := "{" + s.post + "}"
	if since := s.wire.Since(); since != "" {
		body = fmt.Sprintf(`{%s,"since":%q}`, s.post, since)
	}
	fmt.Fprintf(conn, "POST /v1/watch HTTP/%s\r\nHost: %s\r\nAccept: application/x-ndjson\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
		s.http1, address, len(body), body)
}

// takes records a piece of a stream.
func (s *streamer) takes(p []byte) error {
	if s.post != "" {
		return s.wire.Lines(p)
	}
	return s.wire.Stream(p)
}
