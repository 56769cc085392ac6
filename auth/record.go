package auth

import (
	"encoding/json"
	"fmt"
	"strings"
)

// The kinds of private records: what stands before the slash in their names.
const (
	kindUser   = "user"   // user/<id>: a userRecord
	kindName   = "name"   // name/<HMAC of the user's name>: the user's id, so that a name is unique
	kindRole   = "role"   // role/<HMAC of the role's name>: a roleRecord
	kindCred   = "cred"   // cred/<id>: a credRecord
	kindCert   = "cert"   // cert/<HMAC of a name in a certificate>: the user's id
	kindDataK  = "dek"    // dek/<n>: a data key, wrapped with the sealing key
	kindTicket = "ticket" // ticket/<n>: a key that signs tickets
	adminsName = "meta/admins"
	namesName  = "meta/names" // the key of the HMACs
)

// MetadataMax bounds the metadata of a user or credential, in bytes of JSON.
const MetadataMax = 8 << 10

// A userRecord is a user. Its id is in the name of the record.
type userRecord struct {
	Name     string          `json:"name"`
	Roles    []string        `json:"roles,omitempty"`
	Certs    []string        `json:"certs,omitempty"`
	Disabled bool            `json:"disabled,omitempty"`
	Password string          `json:"password,omitempty"`
	Metadata json.RawMessage `json:"metadata,omitempty"`
	Made     int64           `json:"made"`
}

// A roleRecord is a role.
type roleRecord struct {
	Name   string  `json:"name"`
	Grants []Grant `json:"grants"`
	Made   int64   `json:"made"`
}

// A credRecord is an API key or a session: its hash, never its secret.
type credRecord struct {
	Kind  Kind   `json:"kind"`
	User  string `json:"user"`
	Hash  []byte `json:"hash"`
	Label string `json:"label,omitempty"`
	// Grants, if not nil, bound what the user's roles allow.
	Grants []Grant `json:"grants,omitempty"`
	Bound  bool    `json:"bound,omitempty"`
	// Expires is in milliseconds of wall time; 0 is never.
	Expires int64 `json:"expires,omitempty"`
	Made    int64 `json:"made"`
	// Epoch is the store's when a session was made: it is void in another.
	Epoch uint32 `json:"epoch,omitempty"`
	// Used is the last day on which it was used, in days since 1970; keys only.
	Used     int64           `json:"used,omitempty"`
	Metadata json.RawMessage `json:"metadata,omitempty"`
}

// A ticketRecord is a key that signs tickets.
type ticketRecord struct {
	Secret []byte `json:"secret"`
	Made   int64  `json:"made"`
}

// A textRecord is a record of one text: the id that a name leads to, or a key of HMACs.
type textRecord struct {
	Text []byte `json:"text"`
}

// parseRecord reads the JSON of an opened record.
func parseRecord[T any](name string, plain []byte) (*T, error) {
	v := new(T)
	if err := json.Unmarshal(plain, v); err != nil {
		return nil, fmt.Errorf("private record %s: %w", name, err)
	}
	return v, nil
}

// recordName returns the name of a record.
func recordName(kind, id string) string { return kind + "/" + id }

// cutRecord takes the name of a record apart.
func cutRecord(name string) (kind, id string) {
	kind, id, _ = strings.Cut(name, "/")
	return kind, id
}

// IsUserRecord and IsCredentialRecord report what the private record with a name is about: a user, or an
// API key or session.
func IsUserRecord(name string) bool       { return strings.HasPrefix(name, kindUser+"/") }
func IsCredentialRecord(name string) bool { return strings.HasPrefix(name, kindCred+"/") }
