package web

import (
	"context"
	"encoding/json"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"keywatch/web/api"
)

// Members are what a server needs to know of the servers that have the same store. They change while it
// runs.
type Members struct {
	// URLs are those at which clients reach the members. Requests may name their hosts, and pages of
	// theirs may use this server, or no page could go on at another member.
	URLs []string
	// Copies is how many of how many voters have an acknowledged write, such as 2/3.
	Copies string
}

// Cluster is what the routes of a cluster do. A nil func makes its route 404.
type Cluster struct {
	// Document returns what /v1/cluster shows, as a value that encoding/json can write. It takes half
	// a second at most.
	Document func(ctx context.Context) any
	// Change promotes or removes a member, or has one lead: op is the last part of the path. now is
	// that of the body.
	Change func(ctx context.Context, op, node string, now bool) error
	// Members returns the members now; nil for a server that is alone. It costs next to nothing.
	Members func() *Members
}

// members are Members as requests use them.
type members struct {
	of             *Members
	hosts, origins map[string]bool
	// durability is what answers to writes say.
	durability []byte
}

// changeTime bounds a change of members: it waits until all of it is applied.
const changeTime = 25 * time.Second

// A team is the newest members.
type team struct {
	opts *Options
	last atomic.Pointer[members]
}

// now returns the members.
func (t *team) now() *members {
	m := t.last.Load()
	if m != nil && t.opts.Cluster.Members == nil {
		return m
	}
	of := &Members{Copies: "1/1"}
	if t.opts.Cluster.Members != nil {
		if got := t.opts.Cluster.Members(); got != nil {
			of = got
		}
	}
	if m != nil && m.of == of {
		return m
	}
	m = &members{of: of, hosts: make(map[string]bool), origins: make(map[string]bool)}
	for _, text := range of.URLs {
		if u, err := url.Parse(text); err == nil && u.Host != "" {
			m.hosts[strings.ToLower(u.Hostname())] = true
			m.origins[strings.ToLower(u.Scheme+"://"+u.Host)] = true
		}
	}
	m.durability = []byte(t.opts.Durability + "; copies=" + of.Copies)
	t.last.Store(m)
	return m
}

// clusterPage answers GET of /v1/cluster.
func (r *request) clusterPage() error {
	ctx, cancel := context.WithTimeout(r.s.life, r.s.opts.RequestTimeout)
	defer cancel()
	body, err := json.Marshal(r.s.opts.Cluster.Document(ctx))
	if err != nil {
		return err
	}
	r.out = append(append(r.out[:0], body...), '\n')
	r.json(200)
	return nil
}

// changeDocument is the body of a change of members.
type changeDocument struct {
	Node string `json:"node"`
	Now  bool   `json:"now"`
}

// changeMembers answers POST of a change of members.
func (r *request) changeMembers() error {
	if err := r.encoding(); err != nil {
		return err
	}
	var d changeDocument
	if body := r.body(); len(body) > 0 {
		dec := json.NewDecoder(strings.NewReader(string(body)))
		dec.DisallowUnknownFields()
		if err := dec.Decode(&d); err != nil || dec.More() {
			return api.Refuse(api.CodeBadJSON, `expected an object such as {"node":"n3"}`)
		}
	}
	op := clusterOps[r.route]
	if d.Node == "" && op != "transfer" {
		return api.Refuse(api.CodeBadJSON, `field "node" is required: the name or id of a member`)
	}
	if d.Now && op != "promote" {
		return api.Refuse(api.CodeBadJSON, `field "now" is not supported here`)
	}
	ctx, cancel := context.WithTimeout(r.s.life, changeTime)
	defer cancel()
	if err := r.s.opts.Cluster.Change(ctx, op, d.Node, d.Now); err != nil {
		return err
	}
	r.out = append(r.out[:0], "{}"...)
	r.json(200)
	return nil
}

// clusterOps are the last parts of the paths that change members.
var clusterOps = map[route]string{routePromote: "promote", routeRemove: "remove", routeTransfer: "transfer"}

// serves returns why requests for keys are not answered, nil if they are: a server that knows no leader
// still answers what it can.
func (o *Options) serves() error {
	if o.Serving != nil {
		return o.Serving()
	}
	return o.Ready()
}
