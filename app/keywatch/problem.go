package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
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
)

// problem is an answer of the server that is an error, RFC 9457.
type problem struct {
	Title  string `json:"title"`
	Status int    `json:"status"`
	Code   string `json:"code"`
	Detail string `json:"detail"`
	Index  *int   `json:"index"`
	// Current is the entry that a condition met, null if the key is absent.
	Current json.RawMessage `json:"current"`

	etag       string
	retryAfter string
}

// parseProblem reads an error answer. A body that is not a problem document
// still gives an error with the status.
func parseProblem(status int, header http.Header, body []byte) *problem {
	p := new(problem)
	if json.Unmarshal(body, p) != nil {
		*p = problem{}
	}
	p.Status = status
	p.etag, p.retryAfter = header.Get("ETag"), header.Get("Retry-After")
	return p
}

func (p *problem) Error() string {
	text := p.Detail
	if text == "" {
		text = p.Title
	}
	if text == "" {
		text = strings.ToLower(http.StatusText(p.Status))
	}
	if text == "" {
		text = "unexpected answer"
	}
	code := p.Code
	if code == "" {
		code = fmt.Sprintf("status %d", p.Status)
	}
	return text + " (" + code + ")"
}

// exitCode returns the exit code that err stands for.
func exitCode(err error) int {
	var usage *usageError
	var p *problem
	var refused *kw.Error
	var child *childExit
	switch {
	case err == nil:
		return exitDone
	case errors.Is(err, errLockLost):
		return exitLockLost
	case errors.As(err, &child):
		return child.code
	case errors.As(err, &refused):
		return (&problem{Code: refused.Code, Status: refused.Status}).exitCode()
	case errors.Is(err, kw.ErrLockLost):
		return exitLockLost
	case errors.Is(err, kw.ErrLeaseEnded):
		return exitNotFound
	case errors.As(err, &usage):
		return exitUsage
	case errors.As(err, &p):
		return p.exitCode()
	}
	return exitFailed
}

func (p *problem) exitCode() int {
	switch p.Code {
	case "key_not_found", "lease_not_found", "lock_not_held":
		return exitNotFound
	case "lock_held":
		return exitLockNotGot
	case "lock_lost", "fence_lost":
		return exitLockLost
	}
	switch p.Status {
	case http.StatusPreconditionFailed:
		return exitCompareFailed
	case http.StatusNotFound:
		if p.Code == "" {
			return exitNotFound
		}
	}
	return exitFailed
}

// report prints err, with a hint on a line of its own where one helps, and
// returns the exit code.
func report(stderr io.Writer, err error) int {
	if err == nil {
		return exitDone
	}
	var child *childExit
	if errors.As(err, &child) {
		return child.code // it has said itself what is wrong
	}
	fmt.Fprintf(stderr, "keywatch: error: %v\n", err)
	if hint := hintFor(err); hint != "" {
		fmt.Fprintf(stderr, "keywatch: hint: %s\n", hint)
	}
	return exitCode(err)
}

func hintFor(err error) string {
	var usage *usageError
	var p *problem
	var unknown *unknownOutcomeError
	var refused *kw.Error
	switch {
	case errors.As(err, &usage):
		return usage.hint
	case errors.As(err, &unknown):
		return "the write may have been applied; run the same command with --idempotency-key=" + unknown.key + " within 10 minutes to find out"
	case errors.As(err, &p):
		return p.hint()
	case errors.As(err, &refused):
		return (&problem{Code: refused.Code}).hint()
	case errors.Is(err, syscall.ECONNREFUSED):
		return "is the server running? start one with keywatch serve, or name another with --server"
	case errors.Is(err, context.DeadlineExceeded):
		return "wait longer with --timeout"
	}
	return ""
}

func (p *problem) hint() string {
	switch {
	case p.Code == "host_not_allowed":
		return "the server must be started with --allow-host for this name"
	case p.Code == "prefix_required":
		return "add --all to delete everything"
	case p.Status == http.StatusPreconditionFailed:
		return p.currentHint()
	}
	return ""
}

// currentHint says what a failed condition met.
func (p *problem) currentHint() string {
	if len(p.Current) == 0 || string(p.Current) == "null" {
		return ""
	}
	var e entry
	if json.Unmarshal(p.Current, &e) != nil {
		return ""
	}
	text := fmt.Sprintf("current is version %d", e.Version)
	if p.etag != "" {
		text += ", etag " + p.etag
	}
	if value, err := e.value(); err == nil && e.Value != nil {
		text += ", value " + preview(value)
	}
	return text
}
