package main

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"syscall"

	kw "keywatch/client"
)

// Exit codes. Scripts rely on them.
const (
	exitDone          = 0
	exitFailed        = 1
	exitUsage         = 2
	exitNotFound      = 3
	exitCompareFailed = 4
	exitLockNotGot    = 5
	exitLockLost      = 6
	exitNotPermitted  = 7
)

// errNotPermitted says that a grant is missing.
var errNotPermitted = errors.New("not permitted")

// exitHelp is the table of exit codes.
const exitHelp = `Exit codes:

    0    done
    1    failed
    2    the command line is wrong, or the server does not accept a value in it
    3    not found
    4    the expected value, etag or check does not hold; nothing was changed
    5    the lock was not got in time
    6    the lock was lost
    7    the credential is missing, not accepted, or does not permit it
    126  the command of lock, elect or watch --exec cannot be run
    127  ... does not exist; else its own exit code is passed on
    128  and the number of a signal: a signal ended keywatch or the command`

// exitCode returns the exit code that err stands for.
func exitCode(err error) int {
	var usage *usageError
	var refused *kw.Error
	var child *childExit
	var ended *interrupt
	switch {
	case err == nil:
		return exitDone
	case errors.As(err, &usage):
		return exitUsage
	case errors.Is(err, errNotPermitted):
		return exitNotPermitted
	case errors.Is(err, errLockLost):
		return exitLockLost
	case errors.As(err, &child):
		return child.code
	case errors.As(err, &refused):
		return refusedCode(refused)
	case errors.Is(err, kw.ErrLockLost):
		return exitLockLost
	case errors.Is(err, kw.ErrLeaseEnded):
		return exitNotFound
	case errors.As(err, &ended):
		return exitSignal + int(ended.signal)
	case readerGone(err):
		return exitSignal + int(syscall.SIGPIPE)
	}
	return exitFailed
}

// refusedCode returns the exit code of an answer that is an error.
func refusedCode(e *kw.Error) int {
	switch e.Code {
	case "":
		return exitFailed // no keywatch has answered
	case "unauthenticated", "denied":
		return exitNotPermitted
	case "key_not_found", "account_not_found", "lease_not_found", "lock_not_held":
		return exitNotFound
	case "lock_held":
		return exitLockNotGot
	case "lock_lost", "fence_lost":
		return exitLockLost
	case "compare_failed", "check_failed":
		return exitCompareFailed
	case "value_too_large", "body_too_large":
		return exitUsage
	}
	switch e.Status {
	case http.StatusBadRequest, http.StatusUnprocessableEntity:
		return exitUsage
	case http.StatusPreconditionFailed:
		return exitCompareFailed
	}
	return exitFailed
}

// readerGone reports whether err is that the reader of the output is gone, which
// needs no words.
func readerGone(err error) bool {
	var output *outputError
	return errors.As(err, &output) && errors.Is(err, syscall.EPIPE)
}

// report prints err, with a hint where one helps, and returns the exit code.
func (s *session) report(err error) int {
	var child *childExit
	code := exitCode(err)
	if err == nil || errors.As(err, &child) || readerGone(err) {
		return code
	}
	hint := hintFor(err)
	if s.log != nil {
		attrs := []any{"err", err, "exit", code}
		if hint != "" {
			attrs = append(attrs, "hint", hint)
		}
		s.log.Error("keywatch failed", attrs...)
		return code
	}
	if s.json() {
		_ = json.NewEncoder(s.stderr).Encode(problemOf(err, code, hint))
		return code
	}
	text := fmt.Sprintf("keywatch: error: %v\n", err)
	if hint != "" {
		text += fmt.Sprintf("keywatch: hint: %s\n", hint)
	}
	_, _ = s.stderr.Write([]byte(text))
	return code
}

// problem is an error as JSON.
type problem struct {
	Error string `json:"error"`
	Exit  int    `json:"exit"`
	Hint  string `json:"hint,omitempty"`
	// Code and Status are the server's, Answer is all that it said.
	Code   string          `json:"code,omitempty"`
	Status int             `json:"status,omitempty"`
	Answer json.RawMessage `json:"answer,omitempty"`
	// IdempotencyKey finds out what became of a write whose outcome is not known.
	IdempotencyKey string `json:"idempotency_key,omitempty"`
}

func problemOf(err error, code int, hint string) *problem {
	p := &problem{Error: err.Error(), Exit: code, Hint: hint}
	var refused *kw.Error
	if errors.As(err, &refused) {
		p.Code, p.Status, p.Answer = refused.Code, refused.Status, refused.Raw
	}
	var unknown *kw.UnknownError
	if errors.As(err, &unknown) {
		p.IdempotencyKey = unknown.Key
	}
	return p
}

// hinted is an error with a hint of its own.
type hinted struct {
	error
	hint string
}

func (e *hinted) Unwrap() error { return e.error }

// explainNotFound adds a hint to an error that matches ErrNotFound, if key may have
// been meant as a prefix.
func (s *session) explainNotFound(key string, err error) error {
	if !errors.Is(err, kw.ErrNotFound) {
		return err
	}
	if exists, below := s.lookFor(key); exists || !below {
		return err
	}
	return &hinted{err, fmt.Sprintf("there are keys under %s/: a prefix ends in /", key)}
}

func hintFor(err error) string {
	var own *hinted
	if errors.As(err, &own) {
		return own.hint
	}
	var usage *usageError
	var refused *kw.Error
	var unknown *kw.UnknownError
	switch {
	case errors.As(err, &usage):
		return usage.hint
	case errors.As(err, &unknown):
		return "the write may have been applied; run the same command with --idempotency-key=" + unknown.Key + " within 10 minutes to find out"
	case errors.As(err, &refused):
		return refusedHint(refused)
	case errors.Is(err, kw.ErrNotKeywatch):
		return notKeywatchHint
	case errors.Is(err, kw.ErrFingerprint):
		return "was the key of the server replaced? keywatch auth login --fingerprint pins another"
	case isUntrusted(err):
		return "name the authority with --ca, or pin the server's key with keywatch auth login --fingerprint"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "is the server running? start one with keywatch serve, or name another with --server"
	case errors.Is(err, context.DeadlineExceeded), os.IsTimeout(err):
		return "wait longer with --timeout"
	}
	return ""
}

// isUntrusted reports whether no authority that is accepted has signed the server's certificate.
func isUntrusted(err error) bool {
	_, unknown := errors.AsType[x509.UnknownAuthorityError](err)
	return unknown
}

const notKeywatchHint = "is --server the address of a keywatch server, and does a proxy before it pass its answers?"

func refusedHint(e *kw.Error) string {
	switch {
	case e.Code == "":
		return notKeywatchHint
	case e.Code == "unauthenticated":
		return "log in with keywatch auth login, or name a credential with --token-file or KEYWATCH_TOKEN"
	case e.Code == "denied":
		return "keywatch auth whoami prints what is permitted"
	case e.Code == "host_not_allowed":
		return "start the server with --allow-host for this name"
	case e.Code == "prefix_required":
		return "add --all to delete everything"
	case e.Code == "lock_held" || e.Code == "fence_lost":
		return holderHint(e)
	case e.Status == http.StatusPreconditionFailed && e.Current != nil:
		return currentHint(e)
	}
	return ""
}

// holderHint says who holds the lock that was not got, or is no longer held.
func holderHint(e *kw.Error) string {
	var holder struct{ Value *string }
	if json.Unmarshal(e.Holder, &holder) != nil || holder.Value == nil {
		return ""
	}
	return "held by " + preview([]byte(*holder.Value))
}

// currentHint says what a failed condition met.
func currentHint(e *kw.Error) string {
	text := fmt.Sprintf("current is version %d", e.Current.Version)
	if e.ETag != "" {
		text += ", etag " + e.ETag
	}
	if e.Current.Value != nil {
		text += ", value " + preview(e.Current.Value)
	}
	return text
}
