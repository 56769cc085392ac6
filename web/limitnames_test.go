package web_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"keywatch/auth"
	"keywatch/kv"
	"keywatch/ratelimit"
	"keywatch/test/gate"
	"keywatch/watch"
	"keywatch/web"
	"keywatch/web/api"
)

// A limitCase exceeds one limit. answer returns the whole body that says so.
type limitCase struct {
	name string
	code api.Code
	// flags are those that the answer must name; without any it must say that the limit is fixed.
	flags   []string
	params  kv.Params
	limits  kv.Limits
	options func(*web.Options)
	exceed  func(w *world) string
}

// rates limits callers on this machine to one read.
func rates(o *web.Options) {
	o.RateLoopback = true
	o.Limiter = ratelimit.New(ratelimit.Options{Reads: ratelimit.Rate{PerSecond: 0.001, Burst: 1}})
}

// twice sends the same request twice, with another Idempotency-Key and key, and returns the
// second answer.
func twice(method, path, body string) func(w *world) string {
	return func(w *world) string {
		w.do(method, strings.ReplaceAll(path, "N", "1"), body, "Idempotency-Key", "one")
		return w.do(method, strings.ReplaceAll(path, "N", "2"), body, "Idempotency-Key", "two").body
	}
}

// failing has the log fail with err.
func failing(err error) func(w *world) string {
	return func(w *world) string {
		w.log.fail = func(context.Context, *kv.Command) error { return err }
		return w.do("PUT", "/v1/kv/a", "1").body
	}
}

// crowd opens n connections more than it needs, and returns what the last is answered.
func crowd(n int) func(w *world) string {
	return func(w *world) string {
		var last net.Conn
		for range n {
			last = w.open()
		}
		_ = last.SetReadDeadline(time.Now().Add(time.Minute))
		fmt.Fprint(last, "GET /v1/kv HTTP/1.1\r\nHost: localhost\r\n\r\n")
		b := make([]byte, 4096)
		n, _ := last.Read(b)
		return string(b[:n])
	}
}

// putOf returns the answer to a PUT of a value of size bytes.
func putOf(size int) func(w *world) string {
	return func(w *world) string { return w.do("PUT", "/v1/kv/a", strings.Repeat("x", size)).body }
}

// asking returns the answer to a request.
func asking(method, path, body string) func(w *world) string {
	return func(w *world) string { return w.do(method, path, body).body }
}

// secondStream opens a stream and returns what another is answered.
func secondStream(w *world) string {
	w.stream("/v1/watch?key=a")
	return w.do("GET", "/v1/watch?key=a", "").body
}

// zeros is a file without end.
type zeros struct{}

func (zeros) Read(b []byte) (int, error) { return len(b), nil }

// secondBackup begins a backup that does not end, and returns what another is answered.
func secondBackup(w *world) string {
	conn := w.open()
	fmt.Fprint(conn, "GET /v1/admin/backup HTTP/1.1\r\nHost: localhost\r\n\r\n")
	gate.Until(w.t, func() bool { return strings.Contains(w.do("GET", "/metrics", "").body, "\nkeywatch_backups 1\n") }, "no backup began")
	return w.do("GET", "/v1/admin/backup", "").body
}

// occupied is budgeted with 2.5 MiB that another request of caller has taken.
func occupied(caller string, limit, perCaller int64) func(*web.Options) {
	return func(o *web.Options) {
		budgeted(new(*ratelimit.Budget), limit, perCaller)(o)
		other := o.Budget.Open(caller)
		_ = other.Grow(ratelimit.Requests, 5*mib/2)
	}
}

const twoPuts = `{"ops":[{"op":"put","key":"a","value":"12345"},{"op":"put","key":"b","value":"12345"}]}`

// limitCases are all limits with a code of their own.
var limitCases = []limitCase{
	{name: "head", code: api.CodeHeadTooLarge, exceed: func(w *world) string {
		return w.raw("GET /v1/kv/" + strings.Repeat("x", 20_000) + " HTTP/1.1\r\nHost: localhost\r\n\r\n")
	}},
	{name: "time of a head", code: api.CodeRequestTimeout,
		options: func(o *web.Options) { o.ReadTimeout = 20 * time.Millisecond },
		exceed:  func(w *world) string { return w.rawInTime("GET /v1/kv/a HTTP/1.1\r\n") }},
	{name: "time of a body", code: api.CodeRequestTimeout,
		options: func(o *web.Options) { o.ReadTimeout = 20 * time.Millisecond },
		exceed: func(w *world) string {
			return w.rawInTime("PUT /v1/kv/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\nx")
		}},
	{name: "body", code: api.CodeBodyTooLarge, flags: []string{"--max-batch"}, limits: kv.Limits{Value: 100, Command: 1000}, exceed: putOf(1001)},
	{name: "value", code: api.CodeValueTooLarge, flags: []string{"--max-value"}, limits: kv.Limits{Value: 100}, exceed: putOf(101)},
	{name: "announced value", code: api.CodeValueTooLarge, flags: []string{"--max-value"}, limits: kv.Limits{Value: 100}, exceed: func(w *world) string {
		return w.raw("PUT /v1/kv/a HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 101\r\n\r\n")
	}},
	{name: "operations", code: api.CodeBatchTooLarge, flags: []string{"--max-batch-ops"}, limits: kv.Limits{Ops: 1}, exceed: asking("POST", "/v1/batch", twoPuts)},
	{name: "bytes of a batch", code: api.CodeBatchTooLarge, flags: []string{"--max-batch"},
		limits: kv.Limits{Value: 8, Command: 8}, options: func(o *web.Options) { o.MaxBody = 1000 }, exceed: asking("POST", "/v1/batch", twoPuts)},
	{name: "bytes that a batch returns", code: api.CodeBatchTooLarge, flags: []string{"--max-batch"},
		limits: kv.Limits{Value: 60, Command: 100}, options: func(o *web.Options) { o.MaxBody = 1000 },
		exceed: func(w *world) string {
			putOf(60)(w)
			return w.do("POST", "/v1/batch", `{"ops":[{"op":"get","key":"a"},{"op":"get","key":"a"}]}`).body
		}},
	{name: "keys that one request deletes", code: api.CodeBatchTooLarge, flags: []string{"--max-delete"}, params: kv.Params{DeleteMax: 1},
		exceed: func(w *world) string {
			w.do("POST", "/v1/batch", twoPuts)
			return w.do("DELETE", "/v1/kv?prefix=&all=1", "").body
		}},
	{name: "keys of a lease", code: api.CodeBatchTooLarge, flags: []string{"--lease-keys"}, params: kv.Params{LeaseKeys: 1}, exceed: func(w *world) string {
		id := w.do("POST", "/v1/leases", `{"ttl":"9s"}`).field("id").(string)
		return twice("PUT", "/v1/kv/N?lease="+id, "1")(w)
	}},
	{name: "leases", code: api.CodeMemoryFull, flags: []string{"--lease-max"}, params: kv.Params{LeaseMax: 1}, exceed: twice("POST", "/v1/leases", `{"ttl":"9s"}`)},
	{name: "leases of a caller", code: api.CodeRateLimited, flags: []string{"--lease-per-caller"}, params: kv.Params{LeasePerCaller: 1}, exceed: twice("POST", "/v1/leases", `{"ttl":"9s"}`)},
	{name: "outcomes", code: api.CodeMemoryFull, flags: []string{"--idem-max", "--idem-bytes", "--idem-age"}, params: kv.Params{IdemMax: 1}, exceed: twice("PUT", "/v1/kv/N", "1")},
	{name: "outcomes of a caller", code: api.CodeRateLimited, flags: []string{"--idem-per-caller", "--idem-bytes", "--idem-age"}, params: kv.Params{IdemPerCaller: 1}, exceed: twice("PUT", "/v1/kv/N", "1")},
	{name: "rate", code: api.CodeRateLimited, flags: []string{"--rate-limit"}, options: rates, exceed: func(w *world) string {
		w.do("GET", "/v1/kv/a", "")
		return w.do("GET", "/v1/kv/a", "").body
	}},
	{name: "memory", code: api.CodeMemoryFull, flags: []string{"--memory-max"}, exceed: failing(kv.ErrMemoryFull)},
	{name: "queue", code: api.CodeQueueFull, flags: []string{"--max-queue"}, exceed: failing(kv.ErrQueueFull)},
	{name: "watches", code: api.CodeTooManyWatches, flags: []string{"--max-watches"}, options: func(o *web.Options) {
		o.Hub = watch.New(watch.Options{MaxWatches: 1})
		o.Hub.Bind(o.Store.State())
		o.Hub.Reset(o.Store.State().Position()) // which the state told its own hub
	}, exceed: secondStream},
	{name: "streams", code: api.CodeTooManyConnections, flags: []string{"--max-watches", "--max-files"}, options: func(o *web.Options) { o.MaxStreams = 1 }, exceed: secondStream},
	{name: "connections", code: api.CodeTooManyConnections, flags: []string{"--max-connections"}, options: func(o *web.Options) { o.MaxConnections = 1 }, exceed: crowd(2)},
	{name: "connections, unread", code: api.CodeTooManyConnections, flags: []string{"--max-connections"}, options: func(o *web.Options) { o.MaxConnections = 1 }, exceed: crowd(18)},
	{name: "files", code: api.CodeTooManyConnections, flags: []string{"--max-files"}, options: func(o *web.Options) { o.MaxFiles = 1 }, exceed: crowd(2)},
	{name: "files, unread", code: api.CodeTooManyConnections, flags: []string{"--max-files"}, options: func(o *web.Options) { o.MaxFiles = 1 }, exceed: crowd(66)},
	{name: "client memory", code: api.CodeClientMemoryFull, flags: []string{"--client-memory"},
		options: occupied("", 4*mib, 0), exceed: putOf(1 * mib)},
	{name: "client memory of a caller", code: api.CodeCallerMemoryFull, flags: []string{"--client-memory-per-caller"},
		options: occupied("127.0.0.1", 64*mib, 3*mib), exceed: putOf(1 * mib)},
	{name: "client memory for one body", code: api.CodeBodyTooLarge, flags: []string{"--client-memory"},
		options: budgeted(new(*ratelimit.Budget), 1*mib, 0), exceed: putOf(1 * mib)},
	{name: "client memory of a caller for one body", code: api.CodeBodyTooLarge, flags: []string{"--client-memory-per-caller"},
		options: budgeted(new(*ratelimit.Budget), 64*mib, mib/2), exceed: putOf(1 * mib)},
	{name: "backups", code: api.CodeTooManyBackups, flags: []string{"--max-backups"}, options: func(o *web.Options) {
		o.MaxBackups = 1
		o.Admin.Backup = func(_ context.Context, w io.Writer) (int64, error) { return io.Copy(w, zeros{}) }
	}, exceed: secondBackup},
}

// asksWhoMay returns options of a server with authentication, where begin has made an administrator with a key.
func asksWhoMay(opts auth.TableOptions, rate web.LoginRate, begin *func() (registry *auth.Registry, key string)) func(*web.Options) {
	return func(o *web.Options) {
		opts.Wrapper, _ = auth.WrapperOf(auth.NewSealKey())
		o.Auth, o.LoginRate = auth.NewTable(opts), rate
		o.Accounts = auth.NewRegistry(o.Auth, o.Store, nil)
		o.Store.State().FollowPrivate(o.Auth)
		registry := o.Accounts
		*begin = func() (*auth.Registry, string) {
			key := auth.NewSecret(auth.Key)
			if _, err := registry.Bootstrap(context.Background(), key, 0); err != nil {
				panic(err)
			}
			return registry, key
		}
	}
}

// accessCases exceed the limits on logins, tickets and accounts.
func accessCases() []limitCase {
	var begin func() (*auth.Registry, string)
	one := ratelimit.Rate{PerSecond: 1e-7, Burst: 1}
	issuer := newIDP(one)
	login := func(w *world) string {
		w.do("POST", "/v1/auth/login", `{"user":"ann","password":"x"}`)
		return w.do("POST", "/v1/auth/login", `{"user":"ann","password":"x"}`).body
	}
	return []limitCase{
		{name: "logins of a name", code: api.CodeTooManyLogins, flags: []string{"--login-rate-name"}, exceed: login,
			options: asksWhoMay(auth.TableOptions{}, web.LoginRate{Name: one}, &begin)},
		{name: "logins from an address", code: api.CodeTooManyLogins, flags: []string{"--login-rate-address"}, exceed: login,
			options: asksWhoMay(auth.TableOptions{}, web.LoginRate{Address: one}, &begin)},
		{name: "tokens with wrong signatures", code: api.CodeTooManyLogins, flags: []string{"--login-rate-address"},
			options: asksWhoMay(auth.TableOptions{Verifier: issuer.keys}, web.LoginRate{}, &begin), exceed: func(w *world) string {
				issuer.begin(w.t)
				w.do("GET", "/v1/kv/a", "", as(issuer.forged(w.t, "ann"))...)
				return w.do("GET", "/v1/kv/a", "", as(issuer.forged(w.t, "ann"))...).body
			}},
		{name: "tickets", code: api.CodeTooManyTickets, options: asksWhoMay(auth.TableOptions{UsedTickets: 1}, web.LoginRate{}, &begin), exceed: func(w *world) string {
			_, key := begin()
			for range 2 {
				ticket := w.want(201, "POST", "/v1/auth/tickets", `{"keys":["a"]}`, as(key)...).field("ticket").(string)
				if r := w.do("GET", "/v1/watch?interval=x&key=a&ticket="+ticket, ""); r.status == 429 {
					return r.body
				}
			}
			return ""
		}},
		{name: "roles", code: api.CodeTooManyAccounts, options: asksWhoMay(auth.TableOptions{}, web.LoginRate{}, &begin), exceed: func(w *world) string {
			registry, key := begin()
			for i := range auth.RolesMax - 1 {
				if _, _, err := registry.PutRole(context.Background(), auth.Server, fmt.Sprint("r", i), nil, auth.Condition{}); err != nil {
					w.t.Fatal(err)
				}
			}
			return w.do("PUT", "/v1/auth/roles/last", `{"grants":[]}`, as(key)...).body
		}},
	}
}

// notLimits are the codes that say something else than that there is too much of something.
// disk_full is the end of the disk, of which no flag knows.
var notLimits = []api.Code{
	api.CodeBadRequest, api.CodeBadKey, api.CodeBadParameter, api.CodeBadCondition, api.CodeBadJSON, api.CodeBadValue,
	api.CodeBadDuration, api.CodeBadPosition, api.CodeDuplicateKey, api.CodePrefixRequired, api.CodeOriginNotAllowed,
	api.CodeReservedKey, api.CodeKeyNotFound, api.CodeLeaseNotFound, api.CodeLockNotHeld, api.CodeNoRoute,
	api.CodeMethodNotAllowed, api.CodeNotAcceptable, api.CodeLockHeld, api.CodeLockLost, api.CodeLeaseEnded, api.CodeNotANumber, api.CodeNumberOverflow, api.CodeContended,
	api.CodeCompareFailed, api.CodeCheckFailed, api.CodeFenceLost, api.CodeEncodingNotSupported, api.CodeHostNotAllowed,
	api.CodeIdempotencyMismatch, api.CodeInternal, api.CodeDataDamaged, api.CodeDiskFull, api.CodeNoLeader,
	api.CodeMemberNotFound, api.CodeMemberExists, api.CodeChangePending, api.CodeNotCaughtUp, api.CodeQuorumAtRisk, api.CodeClusterLevel, api.CodeLagging,
	api.CodeStarting, api.CodeStopping, api.CodeTierUnavailable, api.CodeOutcomeUnknown,
	api.CodeUnauthenticated, api.CodeDenied, api.CodePermissionsChanged,
	api.CodeAccountNotFound, api.CodeAccountExists, api.CodeLastAdmin,
}

// If this failed, a client that meets a limit would not know which setting it is, or that there is none,
// and an operator would not see that clients meet it.
func TestLimitsNameTheirFlags(t *testing.T) {
	flag := regexp.MustCompile(`--[a-z][a-z-]*`)
	readme, settings := readFile(t, "../README.md"), readFile(t, "../app/config.go")+readFile(t, "../app/serveconfig.go")
	met := slices.Clone(notLimits)
	for _, c := range append(accessCases(), limitCases...) {
		met = append(met, c.code)
		t.Run(c.name, func(t *testing.T) {
			w := newWorldWith(t, c.params, c.limits, func(o *web.Options) {
				inClear(o) // connections are refused unread
				if c.options != nil {
					c.options(o)
				}
			})
			answer := c.exceed(w)
			if !strings.Contains(answer, `"code":"`+string(c.code)+`"`) {
				t.Fatalf("got %q, want %s", answer, c.code)
			}
			if w.server.Refused(c.code) == 0 {
				t.Errorf("keywatch_refused_total does not count %s", c.code)
			}
			got := flag.FindAllString(answer, -1)
			rows := readmeRows(readme, c.code)
			if c.flags == nil && (!strings.Contains(answer, "fixed") || !strings.Contains(rows, "| fixed |")) {
				t.Errorf("got %q, and in README %q, want both to say that it is fixed", answer, rows)
			}
			for _, f := range c.flags {
				if !slices.Contains(got, f) {
					t.Errorf("got %q, want it to name %s", answer, f)
				}
			}
			for _, f := range got {
				if !strings.Contains(rows, "`"+f+"`") {
					t.Errorf("README says nothing of %s where it says %s: %q", f, c.code, rows)
				}
				if !strings.Contains(settings, "\n\t"+fieldOf(f)+" ") {
					t.Errorf("%q names %s, which no server has", answer, f)
				}
			}
		})
	}
	for _, code := range api.Codes() {
		if !slices.Contains(met, code) {
			t.Errorf("%s is neither a limit nor none in this test", code)
		}
	}
}

// readmeRows returns the rows of README's table of limits that end in code.
func readmeRows(readme string, code api.Code) (rows string) {
	_, table, _ := strings.Cut(readme, "\n## Limits\n")
	for line := range strings.Lines(table) {
		if cells := strings.Split(line, "|"); len(cells) == 6 && strings.Contains(cells[4], "`"+string(code)+"`") {
			rows += line
		}
	}
	return rows
}

// fieldOf returns the name of the setting behind a flag.
func fieldOf(flag string) (field string) {
	for word := range strings.SplitSeq(strings.TrimPrefix(flag, "--"), "-") {
		field += strings.ToUpper(word[:1]) + word[1:]
	}
	return field
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
