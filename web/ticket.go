package web

import (
	"bytes"
	"net/url"
	"time"

	"keywatch/auth"
	"keywatch/kv"
	"keywatch/web/api"
)

// How long tickets live: those for one use, and those that may be used again, at most.
const (
	ticketOnce  = 30 * time.Second
	ticketReuse = 12 * time.Hour
	// ticketNames bounds the keys and prefixes of one ticket.
	ticketNames = 256
)

// ticket answers POST of a ticket for watches.
func (r *request) ticket() error {
	var in struct {
		Keys     []string `json:"keys"`
		Prefixes []string `json:"prefixes"`
		TTL      string   `json:"ttl"`
		Reuse    bool     `json:"reuse"`
		Origin   string   `json:"origin"`
	}
	if err := r.params.done(); err != nil {
		return err
	}
	if err := r.readJSON(&in, `{"prefixes":["sensors/"]}`); err != nil {
		return err
	}
	info := auth.TicketInfo{Keys: in.Keys, Prefixes: in.Prefixes, Reuse: in.Reuse}
	if err := ticketTargets(&info); err != nil {
		return err
	}
	longest := ticketOnce
	if in.Reuse {
		longest = ticketReuse
	}
	ttl := longest
	if in.TTL != "" {
		var err error
		if ttl, err = lifetime(in.TTL, false); err != nil {
			return err
		}
		if ttl > longest {
			return api.Refuse(api.CodeBadDuration, "ttl: at most %v for such a ticket", longest)
		}
	}
	var err error
	if info.Origin, err = ticketOrigin(in.Origin); err != nil {
		return err
	}
	info.Expires = r.s.door.Table().Now() + ttl.Milliseconds()
	if end := r.who.Expires(); end != 0 {
		info.Expires = min(info.Expires, end)
	}
	text, err := r.s.opts.Accounts.Ticket(r.by(), info)
	if err != nil {
		return err
	}
	return r.answerJSON(201, map[string]any{"ticket": text, "expires_ms": info.Expires})
}

// ticketTargets checks the names of a ticket.
func ticketTargets(info *auth.TicketInfo) error {
	switch n := len(info.Keys) + len(info.Prefixes); {
	case n == 0:
		return api.Refuse(api.CodeBadJSON, `fields "keys" or "prefixes" must name something to watch`)
	case n > ticketNames:
		return api.Refuse(api.CodeBadJSON, "a ticket has at most %d keys and prefixes, got %d", ticketNames, n)
	}
	for _, key := range info.Keys {
		if err := kv.CheckKey(key); err != nil {
			return err
		}
	}
	for _, prefix := range info.Prefixes {
		if err := kv.CheckPrefix(prefix); err != nil {
			return err
		}
	}
	return nil
}

// ticketOrigin returns an origin as browsers send it; an empty one stays empty.
func ticketOrigin(text string) (string, error) {
	if text == "" {
		return "", nil
	}
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.Scheme+"://"+u.Host != text {
		return "", api.Refuse(api.CodeBadJSON, `field "origin" must be SCHEME://HOST[:PORT]`)
	}
	return text, nil
}

// watches reports whether the route is one that opens a watch, which a ticket in the URL is good for.
func (r *request) watches() bool {
	switch r.route {
	case routeWatch, routeSocket:
		return r.method == methodGet
	case routeKey:
		return r.method == methodGet && r.eventSourceOnly()
	}
	return false
}

// ticketParam is the parameter that carries a ticket.
const ticketParam = "ticket"

// urlTicket returns the ticket in the query, which is not parsed yet.
func (r *request) urlTicket() (text string, ok bool, err error) {
	for pair := range bytes.SplitSeq(r.query, []byte{'&'}) {
		name, value, _ := bytes.Cut(pair, []byte{'='})
		if string(name) != ticketParam {
			continue
		}
		if ok {
			return "", false, api.Refuse(api.CodeBadParameter, "parameter ticket is given twice, expected once")
		}
		text, ok = string(value), true
	}
	return text, ok, nil
}
