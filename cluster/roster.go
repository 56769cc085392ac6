package cluster

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
)

// A ServerID names a server of a store for good; 0 is none.
type ServerID uint64

// String returns 16 hexadecimal digits.
func (id ServerID) String() string { return fmt.Sprintf("%016x", uint64(id)) }

// ParseServerID reads what String wrote.
func ParseServerID(text string) (ServerID, bool) {
	n, err := strconv.ParseUint(text, 16, 64)
	return ServerID(n), err == nil && len(text) == 16 && n != 0
}

// MarshalText implements encoding.TextMarshaler.
func (id ServerID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (id *ServerID) UnmarshalText(text []byte) error {
	var ok bool
	if *id, ok = ParseServerID(string(text)); !ok {
		return fmt.Errorf("%q is not the id of a server", text)
	}
	return nil
}

// A Role says what a server is to become.
type Role string

const (
	// Voter is a server that counts for a majority once it has caught up.
	Voter Role = "voter"
	// Observer is a server that has all data and never votes.
	Observer Role = "observer"
)

// A Member is a server as the roster has it.
type Member struct {
	ID   ServerID `json:"id"`
	Name string   `json:"name"`
	Role Role     `json:"role"`
	// Peer is the address at which other servers reach it, URL the one for clients.
	Peer string `json:"peer"`
	URL  string `json:"url"`
	// Replaces is the server whose place it is to take; 0 for none.
	Replaces ServerID `json:"replaces,omitzero"`
	// Leaving says that it is being removed.
	Leaving bool `json:"leaving,omitempty"`
	// Since is when it joined, in milliseconds since 1970 by the leader's clock.
	Since int64 `json:"since"`
}

// A Removed server may not join again.
type Removed struct {
	ID   ServerID `json:"id"`
	Name string   `json:"name"`
}

// A Roster says who the servers of a store are. It is part of the state: all servers have the same.
type Roster struct {
	// Level is the one that all servers know: nothing newer is written.
	Level   int       `json:"level"`
	Cluster string    `json:"cluster"`
	Members []Member  `json:"members"`
	Removed []Removed `json:"removed,omitempty"`
}

// maxRemoved is how many removed servers a roster remembers: the newest. A server that is forgotten is
// one that is not known, which is refused too.
const maxRemoved = 256

// Named returns the member with a name or, written in full, an id.
func (r *Roster) Named(name string) (Member, bool) {
	i := slices.IndexFunc(r.Members, func(m Member) bool { return m.Name == name || m.ID.String() == name })
	if i < 0 {
		return Member{}, false
	}
	return r.Members[i], true
}

// Member returns the member with an id.
func (r *Roster) Member(id ServerID) (Member, bool) {
	i := slices.IndexFunc(r.Members, func(m Member) bool { return m.ID == id })
	if i < 0 {
		return Member{}, false
	}
	return r.Members[i], true
}

// WasRemoved reports whether a server was removed.
func (r *Roster) WasRemoved(id ServerID) bool {
	return slices.ContainsFunc(r.Removed, func(x Removed) bool { return x.ID == id })
}

// put adds a member or replaces the one with its id.
func (r *Roster) put(m Member) {
	if i := slices.IndexFunc(r.Members, func(x Member) bool { return x.ID == m.ID }); i >= 0 {
		r.Members[i] = m
		return
	}
	r.Members = append(r.Members, m)
}

// remove takes a member out, for good.
func (r *Roster) remove(id ServerID) {
	i := slices.IndexFunc(r.Members, func(x Member) bool { return x.ID == id })
	if i < 0 {
		return
	}
	r.Removed = append(r.Removed, Removed{id, r.Members[i].Name})
	r.Removed = r.Removed[max(0, len(r.Removed)-maxRemoved):]
	r.Members = slices.Delete(r.Members, i, i+1)
}

// errRoster is returned for a roster that cannot be read.
var errRoster = errors.New("the roster of the cluster is malformed")

// ParseRoster reads the text of a roster. The empty text is that of a store that has none.
func ParseRoster(text string) (r Roster, err error) {
	if text == "" {
		return r, nil
	}
	if err := json.Unmarshal([]byte(text), &r); err != nil {
		return r, fmt.Errorf("%w: %w", errRoster, err)
	}
	return r, nil
}

// text returns what ParseRoster reads.
func (r *Roster) text() string {
	b, err := json.Marshal(r)
	if err != nil {
		panic(err) // it has only text and numbers
	}
	return string(b)
}
