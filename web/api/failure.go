package api

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"keywatch/auth"
	"keywatch/kv"
	"keywatch/kv/kvjson"
	"keywatch/ratelimit"
)

// A Failure is an error with its code and what the answer shows beside it.
type Failure struct {
	Code   Code
	Detail string
	// Limit, if not zero, is the bound that was exceeded.
	Limit int
	// Index, if HasIndex is set, is the check, fence or operation that failed.
	Index    int
	HasIndex bool
	// Compared says that the answer shows what stood at Key: Current, nil if
	// nothing, without its value if NoValue is set.
	Compared bool
	Key      string
	Current  *kv.Entry
	NoValue  bool
	// Need is the grant that is missing, Reason why a credential was not accepted.
	Need, Reason string
	// Lock is the one that a fence named; Current is then its holder.
	Lock string
	// Retry is how long the client should wait before it tries again, if not zero.
	Retry time.Duration
	// Cause, if not nil, is for the log.
	Cause error
}

func (f *Failure) Error() string { return string(f.Code) + ": " + f.Detail }
func (f *Failure) Unwrap() error { return f.Cause }

// Refuse returns a failure with a detail.
func Refuse(code Code, format string, args ...any) *Failure {
	return &Failure{Code: code, Detail: fmt.Sprintf(format, args...)}
}

// NoKey returns the failure of what needs a key that does not exist.
func NoKey(key string) *Failure {
	return Refuse(CodeKeyNotFound, "key %.200q does not exist", key)
}

// FailureOf returns err as a failure.
func FailureOf(err error) *Failure {
	if f, ok := errors.AsType[*Failure](err); ok {
		return f
	}
	if full, ok := errors.AsType[*ratelimit.FullError](err); ok {
		return memoryFull(full)
	}
	if denied, ok := errors.AsType[*auth.DeniedError](err); ok {
		f := &Failure{Code: CodeDenied, Detail: denied.Error(), Need: denied.Need, Index: denied.Index, HasIndex: denied.Index >= 0}
		return f
	}
	if failed, ok := errors.AsType[*auth.FailedError](err); ok {
		return &Failure{Code: CodeUnauthenticated, Detail: failed.Error(), Reason: failed.Reason}
	}
	if errors.Is(err, auth.ErrWrongPassword) {
		return &Failure{Code: CodeUnauthenticated, Detail: err.Error(), Reason: "wrong_password"}
	}
	f := &Failure{Code: CodeOf(err), Cause: err}
	if f.Code == CodeInternal {
		f.Detail = "internal error"
	} else {
		f.Detail = err.Error()
	}
	if !strings.Contains(f.Detail, "--") {
		f.Detail += remedies[f.Code]
	}
	if bad, ok := errors.AsType[*kv.KeyError](err); ok {
		f.Detail += prefixHint(bad.Key)
	}
	return f
}

// prefixHint returns what the refusal of a name adds if it is no key but could be a prefix.
func prefixHint(key string) string {
	if !strings.HasSuffix(key, "/") || kv.CheckPrefix(key) != nil {
		return ""
	}
	return fmt.Sprintf("; list or watch a prefix with ?prefix=%.200s", key)
}

// remedies say what helps where the error of a limit names no flag.
var remedies = map[Code]string{
	CodeQueueFull:          ": send it again later, or raise --max-queue",
	CodeTooManyWatches:     ": end some, or raise --max-watches",
	CodeTooManyConnections: ": close some, or raise --max-watches and --max-files",
	CodeValueTooLarge:      "; --max-value bounds it",
	CodeBatchTooLarge:      "; --max-batch and --max-batch-ops bound it",
	CodeMemoryFull:         "; --memory-max bounds it",
}

// RateLimited returns the failure of a request that its caller's rate does not
// allow.
func RateLimited(d ratelimit.Decision, class ratelimit.Class) *Failure {
	return &Failure{Code: CodeRateLimited, Detail: "too many " + class.String() + " of this caller: --rate-limit bounds them", Limit: d.Limit, Retry: d.RetryAfter}
}

// inlineMax is the largest entry whose value a failure shows, in bytes.
const inlineMax = 64 << 10

// AppendProblem appends f as a problem (RFC 9457). now is the log time, in
// milliseconds, that a TTL counts from; it is asked only if there is one to show.
func AppendProblem(b []byte, f *Failure, now func() int64) []byte {
	status := f.Code.Status()
	b = append(b, `{"type":"about:blank","title":`...)
	b = kvjson.AppendString(b, f.Code.Title())
	b = append(b, `,"status":`...)
	b = strconv.AppendInt(b, int64(status), 10)
	b = append(b, `,"code":`...)
	b = kvjson.AppendString(b, string(f.Code))
	b = append(b, `,"detail":`...)
	b = kvjson.AppendString(b, f.Detail)
	if f.Limit != 0 {
		b = append(b, `,"limit":`...)
		b = strconv.AppendInt(b, int64(f.Limit), 10)
	}
	if f.HasIndex {
		b = append(b, `,"index":`...)
		b = strconv.AppendInt(b, int64(f.Index), 10)
	}
	if f.Need != "" {
		b = kvjson.AppendString(append(b, `,"need":`...), f.Need)
	}
	if f.Reason != "" {
		b = kvjson.AppendString(append(b, `,"reason":`...), f.Reason)
	}
	if f.Lock != "" {
		b = append(b, `,"lock":`...)
		b = kvjson.AppendString(b, f.Lock)
		b = appendCurrent(append(b, `,"holder":`...), f, now)
	}
	if f.Compared {
		b = appendCurrent(append(b, `,"current":`...), f, now)
	}
	return append(b, '}')
}

// appendCurrent appends the entry that f found, or null.
func appendCurrent(b []byte, f *Failure, now func() int64) []byte {
	if f.Current == nil {
		return append(b, "null"...)
	}
	return AppendEntry(b, f.Key, f.Current, now(), !f.NoValue && f.Current.Size() <= inlineMax)
}
