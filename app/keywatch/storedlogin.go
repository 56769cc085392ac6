package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
)

// A storedLogin is what is kept for one server: a credential, or the fingerprint of the server's key,
// or both. In the file one with a token only is a string.
type storedLogin struct {
	Token       string `json:"token,omitempty"`
	Fingerprint string `json:"fingerprint,omitempty"`
}

// MarshalJSON implements json.Marshaler.
func (l storedLogin) MarshalJSON() ([]byte, error) {
	if l.Fingerprint == "" {
		return json.Marshal(l.Token)
	}
	type plain storedLogin
	return json.Marshal(plain(l))
}

// UnmarshalJSON implements json.Unmarshaler.
func (l *storedLogin) UnmarshalJSON(b []byte) error {
	if json.Unmarshal(b, &l.Token) == nil {
		return nil
	}
	type plain storedLogin
	return json.Unmarshal(b, (*plain)(l))
}

// originOf returns what a login is stored for.
func originOf(base *url.URL) string { return base.Scheme + "://" + strings.ToLower(base.Host) }

// loginsFile returns where logins are stored.
func loginsFile() (string, error) {
	dir, err := os.UserConfigDir()
	return filepath.Join(dir, "keywatch", "credentials.json"), err
}

// readLogins returns the stored logins by server.
func readLogins() (map[string]storedLogin, error) {
	path, err := loginsFile()
	if err != nil {
		return nil, nil // a process without a home has none
	}
	b, err := readPrivate(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var all map[string]storedLogin
	if err == nil {
		err = json.Unmarshal(b, &all)
	}
	if err != nil {
		return nil, fmt.Errorf("read stored logins: %w", err)
	}
	return all, nil
}

// loginFor returns what is stored for the server at base, nothing if there is none.
func loginFor(base *url.URL) (storedLogin, error) {
	all, err := readLogins()
	if errors.Is(err, fs.ErrPermission) {
		return storedLogin{}, nil // the home of another user, as in a container, has none of this one
	}
	return all[originOf(base)], err
}

// storeToken stores the token for a server, or deletes it if it is empty. The server's fingerprint
// stays.
func storeToken(base *url.URL, token string) error {
	return changeLogin(base, func(l *storedLogin) { l.Token = token })
}

// changeLogin changes what is stored for a server. A crash leaves either the old file or the new one.
func changeLogin(base *url.URL, change func(*storedLogin)) error {
	all, err := readLogins()
	if err != nil {
		return err
	}
	if all == nil {
		all = make(map[string]storedLogin)
	}
	l := all[originOf(base)]
	change(&l)
	if all[originOf(base)] = l; l == (storedLogin{}) {
		delete(all, originOf(base))
	}
	if err := writeLogins(all); err != nil {
		return fmt.Errorf("store the login: %w", err)
	}
	return nil
}

func writeLogins(all map[string]storedLogin) error {
	path, err := loginsFile()
	if err != nil {
		return err
	}
	b, err := json.MarshalIndent(all, "", "  ")
	if err == nil {
		err = os.MkdirAll(filepath.Dir(path), 0o700)
	}
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), "credentials-*") // with mode 0600
	if err != nil {
		return err
	}
	_, err = f.Write(append(b, '\n'))
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}
