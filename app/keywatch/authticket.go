package main

import (
	"net/http"
	"path/filepath"

	"keywatch/app"
)

// ticketCmd asks for a ticket.
type ticketCmd struct {
	Key    []string `arg:"" help:"Keys, or prefixes that end in /, that may be watched."`
	Reuse  bool     `help:"Let it be used until it ends, for up to 12h, instead of once within 30s."`
	TTL    string   `name:"ttl" help:"How long it is valid." placeholder:"DURATION"`
	Origin string   `help:"Accept it from pages of this origin only, such as https://app.example." placeholder:"URL"`
}

// Help is printed by keywatch auth ticket --help.
func (*ticketCmd) Help() string {
	return `
A ticket stands in the URL of a watch, where a browser can send no header. It is good for
watching what it names, as far as the credential that it was made with may, and as long.

Examples:

    keywatch auth ticket sensors/ --reuse --ttl 1h
    curl -N "http://127.0.0.1:7070/v1/watch?prefix=sensors/&ticket=$(keywatch auth ticket sensors/)"
`
}

// Run prints the ticket alone, so that a script can take it.
func (c *ticketCmd) Run(s *session) error {
	body := map[string]any{"reuse": c.Reuse, "ttl": c.TTL, "origin": c.Origin}
	keys, prefixes := []string{}, []string{}
	for _, name := range c.Key {
		if prefix, ok := prefixOf(name); ok {
			prefixes = append(prefixes, prefix)
			continue
		}
		keys = append(keys, name)
	}
	body["keys"], body["prefixes"] = keys, prefixes
	var got struct{ Ticket string }
	raw, err := s.authDo(http.MethodPost, "/v1/auth/tickets", nil, body, &got)
	if err != nil {
		return err
	}
	if s.json() {
		return s.printJSON(raw)
	}
	return s.printf("%s\n", got.Ticket)
}

// rotateCmd makes a new key of the server's.
type rotateCmd struct {
	What string `arg:"" enum:"tickets,data,master" help:"tickets: the key that signs tickets. data: the key that seals records, which are sealed again. master: wrap the data keys with the first key in --auth-key-file."`
}

// Help is printed by keywatch auth rotate --help.
func (*rotateCmd) Help() string {
	return `
To change the sealing key of a server put a new one before the old one in --auth-key-file, one a
line, restart, run rotate master, and remove the old line.

Examples:

    keywatch auth rotate data
`
}

// Run has the server make the key.
func (c *rotateCmd) Run(s *session) error {
	var got struct{ Records int }
	if _, err := s.authDo(http.MethodPost, "/v1/auth/rotate", nil, map[string]string{"what": c.What}, &got); err != nil {
		return err
	}
	if s.json() {
		return s.printValue(map[string]any{"rotated": c.What, "records": got.Records})
	}
	return s.printf("rotated %s, %d records were written\n", c.What, got.Records)
}

// authInitCmd makes the first administrator.
type authInitCmd struct {
	Data         string `help:"Folder that keeps the data." default:"./keywatch-data" placeholder:"DIR"`
	AuthKeyFile  string `help:"File with the key that seals users and credentials; by default auth.key in the data folder." placeholder:"FILE"`
	AdminKeyFile string `help:"File with an API key for the administrator; by default one is made in first-admin.key in the data folder." placeholder:"FILE"`
}

// Help is printed by keywatch auth init --help.
func (*authInitCmd) Help() string {
	return `
Does what the first start with --auth=on does, without serving: it makes the sealing key, the
role and the user admin, and an API key that is valid for a day. From then on a server
of the folder asks for credentials.

Examples:

    keywatch auth init --data /var/lib/keywatch
`
}

// Run opens the store and closes it.
func (c *authInitCmd) Run(s *session) error {
	data, err := filepath.Abs(c.Data)
	if err != nil {
		return err
	}
	config := app.Config{Data: data, Version: version(), Logger: s.log}
	config.Auth, config.AuthKeyFile, config.AdminKeyFile = "on", c.AuthKeyFile, c.AdminKeyFile
	engine, err := app.Open(s.ctx, config)
	if err != nil {
		return err
	}
	if err := engine.Close(); err != nil {
		return err
	}
	key := c.AdminKeyFile
	if key == "" {
		key = filepath.Join(data, app.FirstAdminFile)
	}
	if s.json() {
		return s.printValue(map[string]string{"key_file": key})
	}
	return s.printf("administrator admin, key in %s\n", key)
}
