package api

import (
	"context"
	"errors"

	"keywatch/auth"
	"keywatch/kv"
	"keywatch/ratelimit"
	"keywatch/watch"
)

// ErrTooManyStreams is returned when as many streams are open as are allowed.
var ErrTooManyStreams = errors.New("too many streams")

// A Code is the stable name of a way in which a request can fail.
type Code string

// The codes. They are append-only: none is ever renamed, or given another
// status.
const (
	CodeBadRequest           Code = "bad_request"
	CodeBadKey               Code = "bad_key"
	CodeBadParameter         Code = "bad_parameter"
	CodeBadCondition         Code = "bad_condition"
	CodeBadJSON              Code = "bad_json"
	CodeBadValue             Code = "bad_value"
	CodeBadDuration          Code = "bad_duration"
	CodeBadPosition          Code = "bad_position"
	CodeDuplicateKey         Code = "duplicate_key"
	CodePrefixRequired       Code = "prefix_required"
	CodeUnauthenticated      Code = "unauthenticated"
	CodeDenied               Code = "denied"
	CodePermissionsChanged   Code = "permissions_changed"
	CodeOriginNotAllowed     Code = "origin_not_allowed"
	CodeReservedKey          Code = "reserved_key"
	CodeKeyNotFound          Code = "key_not_found"
	CodeLeaseNotFound        Code = "lease_not_found"
	CodeLockNotHeld          Code = "lock_not_held"
	CodeNoRoute              Code = "no_route"
	CodeMethodNotAllowed     Code = "method_not_allowed"
	CodeNotAcceptable        Code = "not_acceptable"
	CodeRequestTimeout       Code = "request_timeout"
	CodeLockHeld             Code = "lock_held"
	CodeLockLost             Code = "lock_lost"
	CodeLeaseEnded           Code = "lease_ended"
	CodeNotANumber           Code = "not_a_number"
	CodeNumberOverflow       Code = "number_overflow"
	CodeCompareFailed        Code = "compare_failed"
	CodeCheckFailed          Code = "check_failed"
	CodeFenceLost            Code = "fence_lost"
	CodeValueTooLarge        Code = "value_too_large"
	CodeBodyTooLarge         Code = "body_too_large"
	CodeBatchTooLarge        Code = "batch_too_large"
	CodeEncodingNotSupported Code = "encoding_not_supported"
	CodeHostNotAllowed       Code = "host_not_allowed"
	CodeIdempotencyMismatch  Code = "idempotency_mismatch"
	CodeMemberNotFound       Code = "member_not_found"
	CodeAccountNotFound      Code = "account_not_found"
	CodeAccountExists        Code = "account_exists"
	CodeLastAdmin            Code = "last_admin"
	CodeTooManyAccounts      Code = "too_many_accounts"
	CodeTooManyLogins        Code = "too_many_logins"
	CodeTooManyTickets       Code = "too_many_tickets"
	CodeMemberExists         Code = "member_exists"
	CodeChangePending        Code = "change_pending"
	CodeNotCaughtUp          Code = "not_caught_up"
	CodeQuorumAtRisk         Code = "quorum_at_risk"
	CodeClusterLevel         Code = "cluster_level"
	CodeLagging              Code = "lagging"
	CodeRateLimited          Code = "rate_limited"
	CodeTooManyWatches       Code = "too_many_watches"
	CodeTooManyConnections   Code = "too_many_connections"
	CodeTooManyBackups       Code = "too_many_backups"
	CodeHeadTooLarge         Code = "head_too_large"
	CodeInternal             Code = "internal"
	CodeDataDamaged          Code = "data_damaged"
	CodeQueueFull            Code = "queue_full"
	CodeContended            Code = "contended"
	CodeNoLeader             Code = "no_leader"
	CodeStarting             Code = "starting"
	CodeStopping             Code = "stopping"
	CodeMemoryFull           Code = "memory_full"
	CodeClientMemoryFull     Code = "client_memory_full"
	CodeCallerMemoryFull     Code = "caller_memory_full"
	CodeDiskFull             Code = "disk_full"
	CodeTierUnavailable      Code = "tier_unavailable"
	CodeOutcomeUnknown       Code = "outcome_unknown"
)

// A codeRow is what a code means outside, and which errors it stands for.
type codeRow struct {
	code Code
	// status is the HTTP status, close the WebSocket close code: 1012 and 3000
	// to 3499 mean that the client should reconnect, 3500 to 3999 that it
	// should not.
	status, close int
	errs          []error
}

// codes is the one table of codes.
var codes = []codeRow{
	{CodeBadRequest, 400, 3500, []error{auth.ErrBadRequest, auth.ErrBadName}},
	{CodeBadKey, 400, 3500, []error{kv.ErrBadKey}},
	{CodeBadParameter, 400, 3500, []error{watch.ErrEmptyRequest, watch.ErrRequestTooLarge}},
	{CodeBadCondition, 400, 3500, nil},
	{CodeBadJSON, 400, 3500, []error{auth.ErrBadGrant}},
	{CodeBadValue, 400, 3500, []error{auth.ErrBadPassword, auth.ErrBadHash}},
	{CodeBadDuration, 400, 3500, []error{kv.ErrBadTTL, watch.ErrBadInterval}},
	{CodeBadPosition, 400, 3500, []error{kv.ErrBadPosition}},
	{CodeDuplicateKey, 400, 3500, []error{kv.ErrDuplicateKey}},
	{CodePrefixRequired, 400, 3500, nil},
	{CodeUnauthenticated, 401, 3501, nil},
	{CodeDenied, 403, 3503, nil},
	{CodeOriginNotAllowed, 403, 3503, nil},
	{CodeReservedKey, 403, 3503, []error{kv.ErrReservedKey}},
	{CodeKeyNotFound, 404, 3504, nil},
	{CodeLeaseNotFound, 404, 3504, nil},
	{CodeLockNotHeld, 404, 3504, nil},
	{CodeNoRoute, 404, 3504, nil},
	{CodeMemberNotFound, 404, 3504, nil},
	{CodeAccountNotFound, 404, 3504, []error{auth.ErrNotFound}},
	{CodeMethodNotAllowed, 405, 3505, nil},
	{CodeNotAcceptable, 406, 3506, nil},
	{CodeRequestTimeout, 408, 3508, nil},
	{CodeLockHeld, 409, 3509, nil},
	{CodeLockLost, 409, 3509, nil},
	{CodeLeaseEnded, 409, 3509, nil},
	{CodeNotANumber, 409, 3509, nil},
	{CodeNumberOverflow, 409, 3509, nil},
	{CodeMemberExists, 409, 3509, nil},
	{CodeAccountExists, 409, 3509, []error{auth.ErrExists}},
	{CodeLastAdmin, 409, 3509, []error{auth.ErrLastAdmin}},
	{CodeTooManyAccounts, 409, 3509, []error{auth.ErrTooMany}},
	{CodeChangePending, 409, 3509, nil},
	{CodeNotCaughtUp, 409, 3509, nil},
	{CodeQuorumAtRisk, 409, 3509, nil},
	{CodeClusterLevel, 409, 3509, []error{kv.ErrLevel}},
	{CodeCompareFailed, 412, 3512, []error{auth.ErrChanged}},
	{CodeCheckFailed, 412, 3512, nil},
	{CodeFenceLost, 412, 3512, nil},
	{CodeValueTooLarge, 413, 3513, []error{kv.ErrValueTooLarge}},
	{CodeBodyTooLarge, 413, 3513, nil},
	{CodeBatchTooLarge, 413, 3513, []error{kv.ErrBatchTooLarge}},
	{CodeEncodingNotSupported, 415, 3515, nil},
	{CodeHostNotAllowed, 421, 3521, nil},
	{CodeIdempotencyMismatch, 422, 3522, nil},
	{CodeRateLimited, 429, 3029, nil},
	{CodeTooManyWatches, 429, 3029, []error{watch.ErrTooManyWatches}},
	{CodeTooManyConnections, 429, 3029, []error{ErrTooManyStreams}},
	{CodeTooManyBackups, 429, 3029, nil},
	{CodeTooManyLogins, 429, 3029, []error{auth.ErrLoginBusy, auth.ErrLoginLate, auth.ErrTooManyTokens}},
	{CodeTooManyTickets, 429, 3029, []error{auth.ErrTooManyTickets}},
	{CodeCallerMemoryFull, 429, 3029, nil},
	{CodeHeadTooLarge, 431, 3531, nil},
	{CodeInternal, 500, 3100, nil},
	{CodeDataDamaged, 500, 3100, []error{kv.ErrDamaged}},
	{CodeQueueFull, 503, 3103, []error{kv.ErrQueueFull}},
	{CodeDiskFull, 503, 3103, []error{kv.ErrDiskFull}},
	{CodeContended, 503, 3103, []error{kv.ErrContended, auth.ErrBusy}},
	{CodePermissionsChanged, 503, 3103, []error{auth.ErrMoved}},
	{CodeNoLeader, 503, 3103, []error{kv.ErrNoLeader}},
	{CodeLagging, 503, 3103, nil},
	{CodeStarting, 503, 3103, []error{kv.ErrStarting}},
	{CodeStopping, 503, 1012, []error{kv.ErrStopping, watch.ErrClosed}},
	{CodeMemoryFull, 503, 3103, []error{kv.ErrMemoryFull, kv.ErrSnapshotLost}},
	{CodeClientMemoryFull, 503, 3103, nil},
	{CodeTierUnavailable, 503, 3103, []error{kv.ErrTierUnavailable}},
	{CodeOutcomeUnknown, 504, 3104, []error{kv.ErrOutcomeUnknown, context.DeadlineExceeded, context.Canceled}},
}

var codeRows = indexCodes()

func indexCodes() map[Code]*codeRow {
	rows := make(map[Code]*codeRow, len(codes))
	for i := range codes {
		rows[codes[i].code] = &codes[i]
	}
	return rows
}

// Codes returns all codes, in the order of the table.
func Codes() []Code {
	all := make([]Code, len(codes))
	for i := range codes {
		all[i] = codes[i].code
	}
	return all
}

// Status returns the HTTP status of c, 500 if c is unknown.
func (c Code) Status() int {
	if row, ok := codeRows[c]; ok {
		return row.status
	}
	return 500
}

// Title returns the name of c's HTTP status, as RFC 9110 has it.
func (c Code) Title() string { return titles[c.Status()] }

// titles has the names of all statuses in the table of codes.
var titles = map[int]string{
	400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found", 405: "Method Not Allowed", 406: "Not Acceptable",
	408: "Request Timeout", 409: "Conflict", 412: "Precondition Failed", 413: "Request Entity Too Large",
	415: "Unsupported Media Type", 421: "Misdirected Request", 422: "Unprocessable Entity",
	429: "Too Many Requests", 431: "Request Header Fields Too Large", 500: "Internal Server Error",
	503: "Service Unavailable", 504: "Gateway Timeout",
}

// WebSocketClose returns the code that closes a WebSocket because of c.
func (c Code) WebSocketClose() int {
	if row, ok := codeRows[c]; ok {
		return row.close
	}
	return codeRows[CodeInternal].close
}

// ComeBack reports whether c tells the client to try again later: the request
// was refused for load or because the server is not ready, or it failed here.
func (c Code) ComeBack() bool { return c.Status() == 429 || c.Status() >= 500 }

// CodeOf returns the code of err, CodeInternal if it is not known.
func CodeOf(err error) Code {
	if full, ok := errors.AsType[*ratelimit.FullError](err); ok {
		return memoryFull(full).Code
	}
	for i := range codes {
		for _, target := range codes[i].errs {
			if errors.Is(err, target) {
				return codes[i].code
			}
		}
	}
	return CodeInternal
}
