package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
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

// exitCode returns the exit code that err stands for.
func exitCode(err error) int {
	var usage *usageError
	var refused *kw.Error
	var child *childExit
	switch {
	case err == nil:
		return exitDone
	case errors.As(err, &usage):
		return exitUsage
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
	}
	return exitFailed
}

// refusedCode returns the exit code of an answer that is an error.
func refusedCode(e *kw.Error) int {
	switch e.Code {
	case "key_not_found", "lease_not_found", "lock_not_held":
		return exitNotFound
	case "lock_held":
		return exitLockNotGot
	case "lock_lost", "fence_lost":
		return exitLockLost
	}
	switch {
	case e.Status == http.StatusPreconditionFailed:
		return exitCompareFailed
	case e.Status == http.StatusNotFound && e.Code == "":
		return exitNotFound
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
	var refused *kw.Error
	var unknown *kw.UnknownError
	switch {
	case errors.As(err, &usage):
		return usage.hint
	case errors.As(err, &unknown):
		return "the write may have been applied; run the same command with --idempotency-key=" + unknown.Key + " within 10 minutes to find out"
	case errors.As(err, &refused):
		return refusedHint(refused)
	case errors.Is(err, syscall.ECONNREFUSED):
		return "is the server running? start one with keywatch serve, or name another with --server"
	case errors.Is(err, context.DeadlineExceeded):
		return "wait longer with --timeout"
	}
	return ""
}

func refusedHint(e *kw.Error) string {
	switch {
	case e.Code == "host_not_allowed":
		return "the server must be started with --allow-host for this name"
	case e.Code == "prefix_required":
		return "add --all to delete everything"
	case e.Code == "lock_held" || e.Code == "fence_lost":
		return holderHint(e)
	case e.Status == http.StatusPreconditionFailed && e.Current != nil:
		return currentHint(e)
	}
	return ""
}

// holderHint says who holds the lock that was not got, or is held no more.
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
