package web

import (
	"keywatch/ratelimit"
	"keywatch/watch"
)

// A subscription is a watch as a request asks for it.
type subscription struct {
	req watch.Request
	// hasSince and hasState tell what the request says from what it leaves
	// open.
	hasSince        bool
	state, hasState bool
	named           bool
}

// finish decides where a watch begins. It fails if what the request says does
// not go together.
func (sub *subscription) finish() error {
	switch {
	case sub.hasSince && sub.hasState && sub.state:
		return refuse(CodeBadParameter, "since resumes, and state begins anew: one of them")
	case sub.hasSince:
		sub.req.From = watch.FromPosition
	case sub.hasState && !sub.state:
		sub.req.From = watch.FromLive
	}
	if sub.req.Interval > 0 && sub.req.Mode != watch.Latest {
		return refuse(CodeBadParameter, "interval goes with mode latest")
	}
	return nil
}

// watch answers GET and POST of a watch.
func (r *request) watch() error {
	sub := subscription{named: true}
	if r.method == methodPost {
		if err := r.encoding(); err != nil {
			return err
		}
		if err := parseWatch(r.body(), &sub); err != nil {
			return err
		}
		// What a stream's URL can say, its body says here.
		if err := r.lastEventID(&sub); err != nil {
			return err
		}
		return r.subscribe(&sub)
	}
	sub.req.Keys = r.params.many("key")
	sub.req.Prefixes = r.params.many("prefix")
	if err := r.watchParams(&sub); err != nil {
		return err
	}
	return r.subscribe(&sub)
}

// watchKey answers GET of a key by an EventSource.
func (r *request) watchKey() error {
	sub := subscription{named: true}
	sub.req.Keys = []string{string(lend(r.key))}
	if err := r.watchParams(&sub); err != nil {
		return err
	}
	return r.subscribe(&sub)
}

// watchParams reads what the query of a watch says beside keys and prefixes.
func (r *request) watchParams(sub *subscription) error {
	text, ok, err := r.params.take("since")
	if err != nil {
		return err
	}
	sub.req.Since, sub.hasSince = text, ok
	if text, ok, err = r.params.take("state"); err != nil {
		return err
	}
	if ok {
		if text != "0" && text != "1" {
			return refuse(CodeBadParameter, "state is 0 or 1, not %.80q", text)
		}
		sub.state, sub.hasState = text == "1", true
	}
	if text, ok, err = r.params.take("mode"); err != nil {
		return err
	}
	if ok {
		if err := sub.setMode(text); err != nil {
			return err
		}
	}
	if text, ok, err = r.params.take("interval"); err != nil {
		return err
	}
	if ok {
		if err := sub.setInterval(text); err != nil {
			return err
		}
	}
	if sub.named, err = r.params.flag("named", true); err != nil {
		return err
	}
	return r.lastEventID(sub)
}

// lastEventIDParams are the names by which the position of an EventSource comes
// in a query: ours, and those that replacements of EventSource and the Mercure
// protocol use, which cannot be told another one.
var lastEventIDParams = [...]string{"last_event_id", "lastEventId", "lastEventID", "Last-Event-ID"}

// lastEventID lets the position that an EventSource came to win over what its
// URL says, which never changes. It takes the last parameters there can be.
func (r *request) lastEventID(sub *subscription) error {
	id, given := "", ""
	for _, name := range lastEventIDParams {
		value, ok, err := r.params.take(name)
		if err != nil {
			return err
		}
		if ok && given != "" {
			return refuse(CodeBadParameter, "%s and %s mean the same: send one of them", given, name)
		}
		if ok {
			id, given = value, name
		}
	}
	if header := r.head.get(fieldLastEventID); len(header) > 0 {
		id = string(header)
	}
	if id != "" {
		sub.req.Since, sub.hasSince, sub.hasState = id, true, false
	}
	return r.params.done()
}

func (sub *subscription) setMode(text string) error {
	switch text {
	case "all":
		sub.req.Mode = watch.All
	case "latest":
		sub.req.Mode = watch.Latest
	case "keys":
		sub.req.Mode = watch.Keys
	default:
		return refuse(CodeBadParameter, "mode is all, latest or keys, not %.80q", text)
	}
	return nil
}

func (sub *subscription) setInterval(text string) error {
	d, ok := parseDuration(text)
	if !ok || d == 0 || d > watch.MaxInterval {
		return refuse(CodeBadDuration, "interval is a duration up to %v, not %.80q", watch.MaxInterval, text)
	}
	sub.req.Interval = d
	return nil
}

var watchFields = []string{"keys", "prefixes", "since", "state", "mode", "interval", "named"}

// parseWatch reads the body of a watch.
func parseWatch(body []byte, sub *subscription) error {
	s := scanner{b: body}
	var seen uint32
	s.open('{')
	for n := 0; s.more('}', n); n++ {
		switch s.field(watchFields, &seen) {
		case 0:
			sub.req.Keys = s.texts()
		case 1:
			sub.req.Prefixes = s.texts()
		case 2:
			sub.req.Since, sub.hasSince = s.text().string(), true
		case 3:
			sub.state, sub.hasState = s.bool(), true
		case 4:
			s.failWith(sub.setMode(s.text().string()))
		case 5:
			s.failWith(sub.setInterval(s.duration()))
		case 6:
			sub.named = s.bool()
		}
	}
	return s.end()
}

// texts reads an array of strings.
func (s *scanner) texts() (texts []string) {
	s.open('[')
	for n := 0; s.more(']', n); n++ {
		texts = append(texts, s.text().string())
	}
	return texts
}

// subscribe turns the answer into a stream.
func (r *request) subscribe(sub *subscription) error {
	err := r.unconditional(fieldIfMatch, fieldIfNoneMatch, fieldIfFence)
	if err == nil {
		err = r.unconditional(dated...)
	}
	if err != nil {
		return err
	}
	if err := sub.finish(); err != nil {
		return err
	}
	form, err := r.negotiate(mediaSSE, mediaNDJSON)
	if err != nil {
		return err
	}
	if err := r.charge(ratelimit.Watch, 1); err != nil {
		return err
	}
	return r.s.serveStream(r.c, sub.req, streamForm{
		ndjson: form == 1, named: sub.named, eventSource: r.eventSourceOnly(),
	})
}
