package load

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
)

// An Event is one event of a watch. id is empty where the stream gave none.
type Event struct {
	Name, ID string
	Entry
	Type  string `json:"type"`
	Cause string `json:"cause"`
	Code  string `json:"code"`
	Pos   string `json:"pos"`
}

// A Stream is an open watch. Its context ends it.
type Stream struct {
	resp   *http.Response
	r      *bufio.Reader
	NDJSON bool
	// Retry is the last retry: line, in milliseconds as text.
	Retry string
}

// Watch opens a stream of path, such as /v1/watch?prefix=, resuming after
// lastID unless that is empty.
func (cl *Client) Watch(ctx context.Context, path, lastID string) (*Stream, error) {
	return cl.Open(ctx, path, "text/event-stream", lastID)
}

// Open is Watch of another form of stream.
func (cl *Client) Open(ctx context.Context, path, accept, lastID string) (*Stream, error) {
	req, err := http.NewRequestWithContext(ctx, "GET", cl.base()+path, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", accept)
	if lastID != "" {
		req.Header.Set("Last-Event-ID", lastID)
	}
	resp, err := cl.http.Do(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		resp.Body.Close()
		return nil, fmt.Errorf("watch %s: status %d", path, resp.StatusCode)
	}
	return &Stream{resp: resp, r: bufio.NewReader(resp.Body), NDJSON: accept == "application/x-ndjson"}, nil
}

// Close ends the stream.
func (s *Stream) Close() { s.resp.Body.Close() }

// Next returns the next event, or the error that ended the stream.
func (s *Stream) Next() (Event, error) {
	if s.NDJSON {
		return s.nextLine()
	}
	var ev Event
	var data string
	for {
		line, err := s.r.ReadString('\n')
		if err != nil {
			return Event{}, err
		}
		line = strings.TrimSuffix(line, "\n")
		if line == "" && data != "" {
			return ev, ev.parse(data)
		}
		field, value, _ := strings.Cut(line, ":")
		value = strings.TrimPrefix(value, " ")
		switch field {
		case "event":
			ev.Name = value
		case "data":
			data = value
		case "id":
			ev.ID = value
		case "retry":
			s.Retry = value
		}
	}
}

func (s *Stream) nextLine() (Event, error) {
	line, err := s.r.ReadString('\n')
	if err != nil {
		return Event{}, err
	}
	var ev Event
	err = ev.parse(line)
	ev.ID, ev.Name = ev.Pos, ev.Type
	return ev, err
}

func (ev *Event) parse(data string) error {
	if err := json.Unmarshal([]byte(data), ev); err != nil {
		return fmt.Errorf("event %q: %w", data, err)
	}
	if ev.Name != "" && ev.Name != ev.Type {
		return fmt.Errorf("event %q holds the type %q", ev.Name, ev.Type)
	}
	ev.Name = ev.Type
	return nil
}

// Until reads events until one has the name want, and returns it and those
// before it.
func (s *Stream) Until(want string) (before []Event, ev Event, err error) {
	for {
		ev, err := s.Next()
		if err != nil || ev.Name == want {
			return before, ev, err
		}
		before = append(before, ev)
	}
}
