package api

import "keywatch/watch"

// A Watch is a watch as a request asks for it.
type Watch struct {
	Request watch.Request
	// HasSince and HasState tell what the request says from what it leaves open.
	HasSince        bool
	State, HasState bool
	// Unnamed asks for server-sent events without names.
	Unnamed bool
}

// Finish decides where a watch begins. It fails if what the request says does
// not go together.
func (w *Watch) Finish() error {
	switch {
	case w.HasSince && w.HasState && w.State:
		return Refuse(CodeBadParameter, "since and state=1 cannot be combined")
	case w.HasSince:
		w.Request.From = watch.FromPosition
	case w.HasState && !w.State:
		w.Request.From = watch.FromLive
	}
	if w.Request.Interval > 0 && w.Request.Mode != watch.Latest {
		return Refuse(CodeBadParameter, "interval requires mode=latest")
	}
	return nil
}

// SetMode sets the mode by its name.
func (w *Watch) SetMode(name string) error {
	switch name {
	case "all":
		w.Request.Mode = watch.All
	case "latest":
		w.Request.Mode = watch.Latest
	case "keys":
		w.Request.Mode = watch.Keys
	default:
		return Refuse(CodeBadParameter, "mode: expected all, latest or keys, got %.80q", name)
	}
	return nil
}

// SetInterval sets the interval from its text.
func (w *Watch) SetInterval(text string) error {
	d, ok := ParseDuration(text)
	if !ok || d == 0 || d > watch.MaxInterval {
		return Refuse(CodeBadDuration, "interval: expected a duration of at most %v, got %.80q", watch.MaxInterval, text)
	}
	w.Request.Interval = d
	return nil
}

var watchFields = []string{"keys", "prefixes", "since", "state", "mode", "interval", "named"}

// ParseWatch reads the body of a request for a watch.
func ParseWatch(body []byte) (w Watch, err error) {
	s := NewScanner(body)
	var seen FieldSet
	s.Open('{')
	for n := 0; s.More('}', n); n++ {
		switch s.Field(watchFields, &seen) {
		case 0:
			w.Request.Keys = s.Texts(watch.MaxNames)
		case 1:
			w.Request.Prefixes = s.Texts(watch.MaxNames)
		case 2:
			w.Request.Since, w.HasSince = s.Text().String(), true
		case 3:
			w.State, w.HasState = s.Bool(), true
		case 4:
			s.FailWith(w.SetMode(s.Text().String()))
		case 5:
			s.FailWith(w.SetInterval(s.Duration()))
		case 6:
			w.Unnamed = !s.Bool()
		}
	}
	return w, s.End()
}
