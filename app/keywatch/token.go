package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/term"

	"keywatch/app"
)

// tokenFlags say with which credential the commands ask.
type tokenFlags struct {
	TokenFile     string `help:"File with an API key or a session. KEYWATCH_TOKEN may have its text instead; else what keywatch auth login stored is used." placeholder:"FILE"`
	TokenOverHTTP bool   `name:"token-over-http" help:"Send it to other machines over http too, where everyone on the way can read it."`
}

// token returns the credential for the server at base, empty for none. It comes from
// --token-file, $KEYWATCH_TOKEN or what a login stored, in this order.
func (f *tokenFlags) token(base *url.URL) (string, error) {
	if f.TokenFile != "" {
		return readToken(f.TokenFile)
	}
	if text := os.Getenv("KEYWATCH_TOKEN"); text != "" {
		return strings.TrimSpace(text), nil
	}
	all, err := readCredentials()
	if errors.Is(err, fs.ErrPermission) {
		return "", nil // the home of another user, as in a container, has none of this one
	}
	return all[originOf(base)], err
}

// readToken reads a file that only its owner may read.
func readToken(path string) (string, error) {
	b, err := readPrivate(path)
	if err != nil {
		return "", usagef("--token-file: %v", err)
	}
	token := strings.TrimSpace(string(b))
	if token == "" || strings.ContainsAny(token, " \t\r\n") {
		return "", usagef("--token-file: %s must have one token and nothing else", path)
	}
	return token, nil
}

// readPrivate reads a file, and refuses one that others may read; see app.OwnerOnly.
func readPrivate(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Mode().IsRegular() && !app.OwnerOnly(info) {
		return nil, fmt.Errorf("others may read %s: change its mode to 0600", path)
	}
	return os.ReadFile(path)
}

// originOf returns what a stored credential is for.
func originOf(base *url.URL) string { return base.Scheme + "://" + strings.ToLower(base.Host) }

// credentialsFile returns where logins are stored.
func credentialsFile() (string, error) {
	dir, err := os.UserConfigDir()
	return filepath.Join(dir, "keywatch", "credentials.json"), err
}

// readCredentials returns the stored tokens by server.
func readCredentials() (map[string]string, error) {
	path, err := credentialsFile()
	if err != nil {
		return nil, nil // a process without a home has none
	}
	b, err := readPrivate(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var all map[string]string
	if err == nil {
		err = json.Unmarshal(b, &all)
	}
	if err != nil {
		return nil, fmt.Errorf("read stored logins: %w", err)
	}
	return all, nil
}

// storeToken stores the token for a server, or deletes it if it is empty. A crash leaves either the
// old file or the new one.
func storeToken(base *url.URL, token string) error {
	all, err := readCredentials()
	if err != nil {
		return err
	}
	if all == nil {
		all = make(map[string]string)
	}
	if all[originOf(base)] = token; token == "" {
		delete(all, originOf(base))
	}
	path, err := credentialsFile()
	if err != nil {
		return fmt.Errorf("store the login: %w", err)
	}
	b, err := json.MarshalIndent(all, "", "  ")
	if err == nil {
		err = os.MkdirAll(filepath.Dir(path), 0o700)
	}
	if err != nil {
		return fmt.Errorf("store the login: %w", err)
	}
	f, err := os.CreateTemp(filepath.Dir(path), "credentials-*") // with mode 0600
	if err != nil {
		return fmt.Errorf("store the login: %w", err)
	}
	_, err = f.Write(append(b, '\n'))
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("store the login: %w", err), os.Remove(f.Name()))
	}
	return nil
}

// askPassword reads one password.
func (s *session) askPassword(prompt string) (string, error) {
	all, err := s.askPasswords(prompt)
	if err != nil {
		return "", err
	}
	return all[0], nil
}

// askPasswords reads passwords: from a terminal without showing them, else one a line from standard
// input.
func (s *session) askPasswords(prompts ...string) (all []string, err error) {
	if fd := int(s.stdin.Fd()); term.IsTerminal(fd) {
		for _, prompt := range prompts {
			_, _ = s.stderr.file.WriteString(prompt + ": ")
			b, err := term.ReadPassword(fd)
			_, _ = s.stderr.file.WriteString("\n")
			if err != nil {
				return nil, err
			}
			all = append(all, string(b))
		}
		return all, nil
	}
	b, err := io.ReadAll(io.LimitReader(s.stdin, 64<<10))
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(string(b)) {
		all = append(all, strings.TrimRight(line, "\r\n"))
	}
	if len(all) < len(prompts) || slices.Contains(all[:len(prompts)], "") {
		return nil, usagef("expected %d lines on standard input: %s", len(prompts), strings.ToLower(strings.Join(prompts, ", ")))
	}
	return all, nil
}
