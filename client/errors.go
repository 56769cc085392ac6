package client

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// What errors.Is finds in the errors of this package.
var (
	// ErrNotFound matches the absence of a key, a lease or a lock's holder.
	ErrNotFound = errors.New("not found")
	// ErrConflict matches a condition or check that did not hold: nothing was
	// changed. The *Error has the entry that was met in Current.
	ErrConflict = errors.New("the condition does not hold")
	// ErrFenceLost matches a write that was refused because a lock is no longer
	// held under the token that the write named.
	ErrFenceLost = errors.New("the fence is lost")
	// ErrLockHeld matches a lock that was not got in time.
	ErrLockHeld = errors.New("the lock is held")
	// ErrLockLost matches a lock that was held and is not, or can no longer be
	// trusted to be.
	ErrLockLost = errors.New("the lock is lost")
	// ErrLeaseEnded matches a lease that has ended, or can no longer be trusted
	// to live.
	ErrLeaseEnded = errors.New("the lease has ended")
	// ErrOutcomeUnknown matches a write that may or may not have been applied.
	ErrOutcomeUnknown = errors.New("the outcome is unknown")
	// ErrUnreachable matches a request that was not sent, because there was no
	// connection.
	ErrUnreachable = errors.New("the server cannot be reached")
	// ErrNotKeywatch matches an answer that no keywatch server gives, of another
	// server or a proxy.
	ErrNotKeywatch = errors.New("the answer is not from a keywatch server")
	// ErrReleased is the reason of a lock or lease that was given up by its own
	// holder.
	ErrReleased = errors.New("released")
	// ErrClosed is returned by a mirror that was closed.
	ErrClosed = errors.New("closed")
)

// An Error is an answer of the server that refuses a request.
type Error struct {
	// Status is the HTTP status, Code the stable name of the reason, "" if
	// something other than keywatch answered; the error then matches
	// ErrNotKeywatch.
	Status int
	Code   string
	Title  string
	Detail string
	// Limit is the bound that was exceeded, 0 if none was.
	Limit int
	// Index is the check, fence or operation that failed, -1 if not said.
	Index int
	// Current is the entry that a condition met: nil if there was none, or no
	// condition. Values above 64 KiB are left out.
	Current *Entry
	// Lock is the lock that a fence named; Holder what the server says of who
	// holds it, as JSON.
	Lock   string
	Holder json.RawMessage
	// ETag is that of Current.
	ETag string
	// Raw is the whole answer, nil if it is not JSON.
	Raw json.RawMessage
	// RetryAfter is how long the server asks to wait.
	RetryAfter time.Duration
}

// Error says what is wrong in a line.
func (e *Error) Error() string {
	if e.Code == "" {
		status := strings.TrimSpace(fmt.Sprint(e.Status, " ", http.StatusText(e.Status)))
		return fmt.Sprintf("%v: it has status %s and no keywatch error code", ErrNotKeywatch, status)
	}
	text := e.Detail
	if text == "" {
		text = e.Title
	}
	return text + " (" + e.Code + ")"
}

// sentinels lists what the codes match.
var sentinels = map[string][]error{
	"key_not_found":     {ErrNotFound},
	"account_not_found": {ErrNotFound},
	"unauthenticated":   {ErrUnauthenticated},
	"denied":            {ErrForbidden},
	"lease_not_found":   {ErrNotFound, ErrLeaseEnded},
	"lock_not_held":     {ErrNotFound, ErrLockLost},
	"lock_held":         {ErrLockHeld},
	"lock_lost":         {ErrLockLost},
	"lease_ended":       {ErrLeaseEnded},
	"compare_failed":    {ErrConflict},
	"check_failed":      {ErrConflict},
	"fence_lost":        {ErrFenceLost, ErrLockLost},
	"outcome_unknown":   {ErrOutcomeUnknown},
}

// Is reports whether target is what the code stands for.
func (e *Error) Is(target error) bool {
	if e.Code == "" {
		return target == ErrNotKeywatch
	}
	for _, s := range sentinels[e.Code] {
		if s == target {
			return true
		}
	}
	return false
}

// parseError reads an answer that is not a good one. A body that is not a
// problem document still gives an error with the status.
func parseError(status int, header http.Header, body []byte) *Error {
	var doc struct {
		Title, Code, Detail, Lock string
		Limit                     int
		Index                     *int
		Current                   *wireEntry
		Holder                    json.RawMessage
	}
	e := &Error{Status: status, Index: -1, ETag: header.Get("ETag")}
	if json.Unmarshal(body, &doc) == nil {
		e.Raw = body
		e.Code, e.Title, e.Detail, e.Limit = doc.Code, doc.Title, doc.Detail, doc.Limit
		e.Lock, e.Holder = doc.Lock, doc.Holder
		if doc.Index != nil {
			e.Index = *doc.Index
		}
		if doc.Current != nil {
			if entry, err := doc.Current.entry(); err == nil {
				entry.ETag = e.ETag
				e.Current = &entry
			}
		}
	}
	if seconds, err := strconv.Atoi(header.Get("Retry-After")); err == nil && seconds > 0 {
		e.RetryAfter = time.Duration(seconds) * time.Second
	}
	return e
}

// Temporary reports whether the same request may succeed later.
func (e *Error) Temporary() bool {
	switch e.Status {
	case http.StatusRequestTimeout, http.StatusTooManyRequests,
		http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return false
}

// unapplied reports whether the request surely changed nothing.
func (e *Error) unapplied() bool {
	switch e.Status {
	case http.StatusInternalServerError, http.StatusBadGateway, http.StatusGatewayTimeout:
		return false
	}
	return true
}

// An UnknownError is a write whose outcome is not known: sent again with the
// same Key within ten minutes of the first time, it is applied once. It matches
// ErrOutcomeUnknown, and what happened last.
type UnknownError struct {
	Key string
	Err error
}

func (e *UnknownError) Error() string        { return "the outcome is unknown: " + e.Err.Error() }
func (e *UnknownError) Unwrap() error        { return e.Err }
func (e *UnknownError) Is(target error) bool { return target == ErrOutcomeUnknown }

// lostError is an answer that did not come, or not whole.
type lostError struct{ err error }

func (e *lostError) Error() string { return e.err.Error() }
func (e *lostError) Unwrap() error { return e.err }

// unreachableError is a request that never left.
type unreachableError struct{ err error }

func (e *unreachableError) Error() string        { return e.err.Error() }
func (e *unreachableError) Unwrap() error        { return e.err }
func (e *unreachableError) Is(target error) bool { return target == ErrUnreachable }
