package main

import (
	"encoding/json"
	"net/http"
	"net/url"
	"time"

	"keywatch/app"
)

// keyCmd has the commands about API keys.
type keyCmd struct {
	Add    keyAddCmd    `cmd:"" help:"Add an API key and print it: it is shown this once."`
	List   keyListCmd   `cmd:"" help:"List API keys, without their secrets." aliases:"ls"`
	Show   keyShowCmd   `cmd:"" help:"Print what the server says of a key."`
	Revoke keyRevokeCmd `cmd:"" help:"End a key for good." aliases:"del,rm"`
	New    keyNewCmd    `cmd:"" help:"Draw an API key for --admin-key-file, without a server."`
}

// keyAddCmd adds.
type keyAddCmd struct {
	User     string   `help:"Name of the owner." required:"" placeholder:"NAME"`
	TTL      string   `name:"ttl" help:"How long it is valid, such as 720h, or none for ever." required:"" placeholder:"DURATION"`
	Label    string   `help:"What it is for." placeholder:"TEXT"`
	Grant    []string `help:"Bounds what the owner may do, such as read:config/; may be repeated." placeholder:"GRANT" sep:"none"`
	Metadata string   `help:"JSON of up to 8 KiB, which is stored sealed." placeholder:"JSON"`
}

// Help is printed by keywatch auth key add --help.
func (*keyAddCmd) Help() string {
	return `
What a key may do is what both its owner's roles and its own grants allow. Without grants it
is what its owner may.

Examples:

    keywatch auth key add --user ci --ttl 2160h --label "build server" > ci.key
    keywatch auth key add --user ann --ttl 24h --grant read:config/
`
}

// Run prints the key alone, so that a script can take it.
func (c *keyAddCmd) Run(s *session) error {
	body := map[string]any{"user": c.User, "ttl": c.TTL, "label": c.Label}
	if c.Grant != nil {
		body["grants"] = c.Grant
	}
	if c.Metadata != "" {
		if !json.Valid([]byte(c.Metadata)) {
			return usagef("--metadata is not JSON")
		}
		body["metadata"] = json.RawMessage(c.Metadata)
	}
	var got struct{ Key string }
	raw, err := s.authDo(http.MethodPost, "/v1/auth/keys", nil, body, &got)
	if err != nil {
		return err
	}
	if s.json() {
		return s.printJSON(raw)
	}
	return s.printf("%s\n", got.Key)
}

// A shownCred is a credential as the server shows it.
type shownCred struct {
	ID, User, Label string
	Expires         int64  `json:"expires_ms"`
	Used            string `json:"last_used"`
}

func (c shownCred) line() string {
	ends := "never"
	if c.Expires != 0 {
		ends = time.UnixMilli(c.Expires).Format(time.RFC3339)
	}
	return c.ID + "\t" + c.User + "\t" + ends + "\t" + c.Label
}

const credHead = "ID\tUSER\tENDS\tLABEL"

// userQuery asks for the credentials of one user, or of all.
func userQuery(user string) url.Values {
	if user == "" {
		return nil
	}
	return url.Values{"user": {user}}
}

// keyListCmd lists.
type keyListCmd struct {
	User string `help:"Only those of this user." placeholder:"NAME"`
}

// Run prints a line for each key.
func (c *keyListCmd) Run(s *session) error {
	return authList(s, "/v1/auth/keys", "keys", credHead, userQuery(c.User), shownCred.line)
}

// keyShowCmd shows.
type keyShowCmd struct {
	ID string `arg:"" name:"id" help:"Id of the key."`
}

// Run prints the answer.
func (c *keyShowCmd) Run(s *session) error {
	var key json.RawMessage
	if _, err := s.authDo(http.MethodGet, authPath("keys", c.ID), nil, nil, &key); err != nil {
		return err
	}
	return s.printJSON(key)
}

// keyRevokeCmd revokes.
type keyRevokeCmd struct {
	ID string `arg:"" name:"id" help:"Id of the key."`
}

// Run revokes the key.
func (c *keyRevokeCmd) Run(s *session) error {
	_, err := s.authDo(http.MethodDelete, authPath("keys", c.ID), nil, nil, nil)
	return s.authDone("revoked", c.ID, err)
}

// keyNewCmd draws a key.
type keyNewCmd struct{}

// Help is printed by keywatch auth key new --help.
func (*keyNewCmd) Help() string {
	return `
Prints an API key that no server knows. A server that starts with --auth=on and no users
makes it the key of the first administrator.

Examples:

    (umask 077; keywatch auth key new > admin.key)
    keywatch serve --auth=on --admin-key-file=admin.key
`
}

// Run prints a key.
func (*keyNewCmd) Run(s *session) error { return s.printf("%s\n", app.NewAPIKey()) }

// sessionsCmd has the commands about sessions.
type sessionsCmd struct {
	List sessionListCmd `cmd:"" help:"List sessions." aliases:"ls"`
	End  sessionEndCmd  `cmd:"" help:"End a session."`
}

// sessionListCmd lists.
type sessionListCmd struct {
	User string `help:"Only those of this user." placeholder:"NAME"`
}

// Run prints a line for each session.
func (c *sessionListCmd) Run(s *session) error {
	return authList(s, "/v1/auth/sessions", "sessions", credHead, userQuery(c.User), shownCred.line)
}

// sessionEndCmd ends.
type sessionEndCmd struct {
	ID string `arg:"" name:"id" help:"Id of the session."`
}

// Run ends the session.
func (c *sessionEndCmd) Run(s *session) error {
	_, err := s.authDo(http.MethodDelete, authPath("sessions", c.ID), nil, nil, nil)
	return s.authDone("ended", c.ID, err)
}
