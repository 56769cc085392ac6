package load

import (
	"fmt"
	"net"

	"keywatch/watch/watchtest"
)

// posters are streamers that ask by POST, for lines of JSON.
func (a *Audience) posters() []*Streamer {
	p, all := a.Prefix, []string{a.Prefix}
	return []*Streamer{
		{Name: "posted", post: fmt.Sprintf(`"prefixes":[%q]`, p), asked: watchtest.Record{Prefixes: all}},
		{Name: "posted, some keys, no values", post: fmt.Sprintf(`"keys":[%q,%q],"prefixes":[%q],"mode":"keys"`, p+"t0/1", p+"t1/2", p+"t2/1"),
			asked: watchtest.Record{Keys: []string{p + "t0/1", p + "t1/2"}, Prefixes: []string{p + "t2/1"}, NoValues: true}},
		{Name: "posted, latest, seldom", post: fmt.Sprintf(`"prefixes":[%q],"mode":"latest","interval":"15ms"`, p), asked: watchtest.Record{Prefixes: all, Latest: true}},
		{Name: "posted, late", post: fmt.Sprintf(`"prefixes":[%q]`, p+"t"), asked: watchtest.Record{Prefixes: []string{p + "t"}}, late: 120},
	}
}

// ask sends a watch as a POST, which resumes by its body.
func (s *Streamer) ask(conn net.Conn, address string) {
	body := "{" + s.post + "}"
	if since := s.wire.Since(); since != "" {
		body = fmt.Sprintf(`{%s,"since":%q}`, s.post, since)
	}
	fmt.Fprintf(conn, "POST /v1/watch HTTP/%s\r\nHost: %s\r\nAccept: application/x-ndjson\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
		s.http1, address, len(body), body)
}

// takes records a piece of a stream.
func (s *Streamer) takes(p []byte) error {
	if s.post != "" {
		return s.wire.Lines(p)
	}
	return s.wire.Stream(p)
}
