package web

import (
	"keywatch/ratelimit"
	"keywatch/web/api"
)

// watch answers GET and POST of a watch.
func (r *request) watch() error {
	if r.method == methodPost {
		return r.watchBody()
	}
	var sub api.Watch
	sub.Request.Keys = r.params.many("key")
	sub.Request.Prefixes = r.params.many("prefix")
	if err := r.watchParams(&sub); err != nil {
		return err
	}
	return r.subscribe(&sub)
}

// watchBody answers POST of a watch, whose body says what a stream's URL can say.
func (r *request) watchBody() error {
	if err := r.encoding(); err != nil {
		return err
	}
	sub, err := api.ParseWatch(r.body())
	if err != nil {
		return err
	}
	if err := r.lastEventID(&sub); err != nil {
		return err
	}
	return r.subscribe(&sub)
}

// watchKey answers GET of a key by an EventSource.
func (r *request) watchKey() error {
	var sub api.Watch
	sub.Request.Keys = []string{string(lend(r.key))}
	if err := r.watchParams(&sub); err != nil {
		return err
	}
	return r.subscribe(&sub)
}

// watchParams reads what the query of a watch says beside keys and prefixes.
func (r *request) watchParams(sub *api.Watch) error {
	text, ok, err := r.params.take("since")
	if err != nil {
		return err
	}
	sub.Request.Since, sub.HasSince = text, ok
	if text, ok, err = r.params.take("state"); err != nil {
		return err
	}
	if ok {
		if text != "0" && text != "1" {
			return api.Refuse(api.CodeBadParameter, "state: expected 0 or 1, got %.80q", text)
		}
		sub.State, sub.HasState = text == "1", true
	}
	if text, ok, err = r.params.take("mode"); err != nil {
		return err
	}
	if ok {
		if err := sub.SetMode(text); err != nil {
			return err
		}
	}
	if text, ok, err = r.params.take("interval"); err != nil {
		return err
	}
	if ok {
		if err := sub.SetInterval(text); err != nil {
			return err
		}
	}
	named, err := r.params.flag("named", true)
	if err != nil {
		return err
	}
	sub.Unnamed = !named
	return r.lastEventID(sub)
}

// lastEventIDParams are the names by which the position of an EventSource comes
// in a query: ours, and those that replacements of EventSource and the Mercure
// protocol use, which cannot be told another one.
var lastEventIDParams = [...]string{"last_event_id", "lastEventId", "lastEventID", "Last-Event-ID", "evs_last_event_id"}

// clientParams are parameters of an EventSource that are about itself and not about the watch:
// npm's eventsource-polyfill sends them with each request. It reconnects when its
// buffer is full.
var clientParams = []string{"evs_buffer_size_limit", "evs_preamble"}

// lastEventID lets the position that an EventSource came to win over what its
// URL says, which never changes. It takes the last parameters there can be.
func (r *request) lastEventID(sub *api.Watch) error {
	id, given := "", ""
	for _, name := range lastEventIDParams {
		value, ok, err := r.params.take(name)
		if err != nil {
			return err
		}
		if ok && given != "" {
			return api.Refuse(api.CodeBadParameter, "%s and %s mean the same: send one of them", given, name)
		}
		if ok {
			id, given = value, name
		}
	}
	r.params.drop(clientParams)
	if header := r.head.get(fieldLastEventID); len(header) > 0 {
		id = string(header)
	}
	if id != "" {
		sub.Request.Since, sub.HasSince, sub.HasState = id, true, false
	}
	return r.params.done()
}

// subscribe turns the answer into a stream.
func (r *request) subscribe(sub *api.Watch) error {
	if err := r.unconditional(fieldIfMatch, fieldIfNoneMatch, fieldIfFence); err != nil {
		return err
	}
	if err := sub.Finish(); err != nil {
		return err
	}
	form, err := r.negotiate(mediaSSE, mediaNDJSON)
	if err != nil {
		return err
	}
	if err := r.charge(ratelimit.Watch, 1); err != nil {
		return err
	}
	api.AwaitPosition(r.deadline(), r.s.door, &sub.Request)
	return r.s.serveStream(r.c, r.who, sub.Request, streamForm{
		ndjson: form == 1, named: !sub.Unnamed, eventSource: r.eventSourceOnly(), browser: r.head.has(fieldFetchMode),
	}, r.memoryName())
}
