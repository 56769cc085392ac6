package watchtest

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"

	"keywatch/kv"
	"keywatch/watch"
)

// A Wire records what one client is told over connections that may break at any
// byte: event streams, or messages of JSON. It is not safe for concurrent use.
type Wire struct {
	steps []Step
	rest  []byte // an event that is not complete
	pos   string
}

// Connect begins a connection that resumes from Since; what had come of an event
// is dropped, as a client does.
func (w *Wire) Connect() {
	w.rest = w.rest[:0]
	w.steps = append(w.steps, Connected(w.pos))
}

// Since returns the position to resume from, "" if none is known.
func (w *Wire) Since() string { return w.pos }

// Steps returns what was recorded.
func (w *Wire) Steps() []Step { return w.steps }

// Last returns the newest step.
func (w *Wire) Last() Step { return w.steps[len(w.steps)-1] }

// Stream takes bytes of a text/event-stream, split anywhere. It fails at the
// first event that is none of keywatch's.
func (w *Wire) Stream(p []byte) error {
	w.rest = append(w.rest, p...)
	for {
		event, rest, ok := bytes.Cut(w.rest, []byte("\n\n"))
		if !ok {
			return nil
		}
		if err := w.event(event); err != nil {
			return fmt.Errorf("event %.300q: %w", event, err)
		}
		w.rest = append([]byte(nil), rest...)
	}
}

// Lines takes bytes of NDJSON, split anywhere. It fails at the first line that is
// none of keywatch's.
func (w *Wire) Lines(p []byte) error {
	w.rest = append(w.rest, p...)
	for {
		line, rest, ok := bytes.Cut(w.rest, []byte{'\n'})
		if !ok {
			return nil
		}
		if err := w.Message(line); err != nil {
			return fmt.Errorf("line %.300q: %w", line, err)
		}
		w.rest = append([]byte(nil), rest...)
	}
}

// event takes the lines of one event.
func (w *Wire) event(text []byte) error {
	var name, id string
	var data []byte
	for line := range bytes.SplitSeq(text, []byte{'\n'}) {
		field, value, _ := bytes.Cut(line, []byte(": "))
		switch string(field) {
		case "data":
			data = value
		case "id":
			id = string(value)
		case "event":
			name = string(value)
		case "retry", "":
		default:
			return fmt.Errorf("an unknown field %q", field)
		}
	}
	if data == nil {
		return nil
	}
	return w.object(data, name, id)
}

// message is an event as JSON.
type message struct {
	Type     string `json:"type"`
	Key      string `json:"key"`
	Value    string `json:"value"`
	Encoding string `json:"encoding"`
	Rev      kv.Rev `json:"rev"`
	Create   kv.Rev `json:"create_rev"`
	Version  uint64 `json:"version"`
	Pos      string `json:"pos"`
}

// Message takes one JSON object of NDJSON or of a WebSocket's watch.
func (w *Wire) Message(data []byte) error { return w.object(data, "", "") }

func (w *Wire) object(data []byte, name, id string) error {
	var m message
	if err := json.Unmarshal(data, &m); err != nil {
		return err
	}
	if name != "" && name != m.Type {
		return fmt.Errorf("it is called %q", name)
	}
	kind, ok := kinds[m.Type]
	if !ok {
		return fmt.Errorf("an unknown type %q", m.Type)
	}
	s := Step{Kind: kind}
	if s.change() {
		value := []byte(m.Value)
		if m.Encoding == "base64" {
			var err error
			if value, err = base64.StdEncoding.DecodeString(m.Value); err != nil {
				return err
			}
		}
		s.Change = Change{Key: m.Key, Value: string(value), Rev: m.Rev, Create: m.Create, Version: m.Version, Deleted: kind == watch.Delete}
	}
	if id == "" {
		id = m.Pos
	}
	return w.add(s, id)
}

func (w *Wire) add(s Step, id string) (err error) {
	if id != "" {
		if s.At, err = kv.ParsePosition(id); err != nil {
			return fmt.Errorf("the position %q: %w", id, err)
		}
		s.HasAt, w.pos = true, id
	}
	w.steps = append(w.steps, s)
	return nil
}

var kinds = func() map[string]watch.Kind {
	m := map[string]watch.Kind{}
	for k := watch.Put; k <= watch.Bye; k++ {
		m[k.String()] = k
	}
	return m
}()
