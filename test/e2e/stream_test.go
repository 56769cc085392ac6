package e2e_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
)

// An event is one event of a watch. id is empty where the stream gave none.
type event struct {
	name, id string
	entry
	Type  string `json:"type"`
	Cause string `json:"cause"`
	Code  string `json:"code"`
	Pos   string `json:"pos"`
}

// A stream is an open watch. Its context ends it.
type stream struct {
	resp   *http.Response
	r      *bufio.Reader
	ndjson bool
	// retry is the last retry: line, in milliseconds as text.
	retry string
}

// watch opens a stream of path, such as /v1/watch?prefix=, resuming after
// lastID unless that is empty.
func (cl *client) watch(ctx context.Context, path, lastID string) (*stream, error) {
	return cl.open(ctx, path, "text/event-stream", lastID)
}

func (cl *client) open(ctx context.Context, path, accept, lastID string) (*stream, error) {
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
	return &stream{resp: resp, r: bufio.NewReader(resp.Body), ndjson: accept == "application/x-ndjson"}, nil
}

func (s *stream) close() { s.resp.Body.Close() }

// next returns the next event, or the error that ended the stream.
func (s *stream) next() (event, error) {
	if s.ndjson {
		return s.nextLine()
	}
	var ev event
	var data string
	for {
		line, err := s.r.ReadString('\n')
		if err != nil {
			return event{}, err
		}
		line = strings.TrimSuffix(line, "\n")
		if line == "" && data != "" {
			return ev, ev.parse(data)
		}
		field, value, _ := strings.Cut(line, ":")
		value = strings.TrimPrefix(value, " ")
		switch field {
		case "event":
			ev.name = value
		case "data":
			data = value
		case "id":
			ev.id = value
		case "retry":
			s.retry = value
		}
	}
}

func (s *stream) nextLine() (event, error) {
	line, err := s.r.ReadString('\n')
	if err != nil {
		return event{}, err
	}
	var ev event
	err = ev.parse(line)
	ev.id, ev.name = ev.Pos, ev.Type
	return ev, err
}

func (ev *event) parse(data string) error {
	if err := json.Unmarshal([]byte(data), ev); err != nil {
		return fmt.Errorf("event %q: %w", data, err)
	}
	if ev.name != "" && ev.name != ev.Type {
		return fmt.Errorf("event %q holds the type %q", ev.name, ev.Type)
	}
	ev.name = ev.Type
	return nil
}

// until reads events until one has the name want, and returns it and those
// before it.
func (s *stream) until(want string) (before []event, ev event, err error) {
	for {
		ev, err := s.next()
		if err != nil || ev.name == want {
			return before, ev, err
		}
		before = append(before, ev)
	}
}
