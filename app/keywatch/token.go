package main

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"golang.org/x/term"

	"keywatch/app"
)

// tokenFlags say with which credential the commands ask.
type tokenFlags struct {
	TokenFile     string `help:"File with an API key, a session or a JSON Web Token. KEYWATCH_TOKEN may have its text instead; else what keywatch auth login stored is used." placeholder:"FILE"`
	TokenOverHTTP bool   `name:"token-over-http" help:"Send it to other machines over http too, where everyone on the way can read it."`
}

// token returns the credential for a server, empty for none. It comes from --token-file,
// $KEYWATCH_TOKEN or what a login stored, in this order.
func (f *tokenFlags) token(stored storedLogin) (string, error) {
	if f.TokenFile != "" {
		return readToken(f.TokenFile)
	}
	if text := os.Getenv("KEYWATCH_TOKEN"); text != "" {
		return strings.TrimSpace(text), nil
	}
	return stored.Token, nil
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
