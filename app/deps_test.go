package app_test

import (
	"encoding/json"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// allowed lists, for each package of ours, the packages of ours that its code
// may import directly.
var allowed = map[string][]string{
	"keywatch/kv":            {"keywatch/kv/trace", "keywatch/kv/heap"},
	"keywatch/ratelimit":     {},
	"keywatch/auth":          {"keywatch/kv", "keywatch/kv/lock", "keywatch/watch"},
	"keywatch/auth/audit":    {},
	"keywatch/auth/jwt":      {"keywatch/auth", "keywatch/ratelimit", "keywatch/kv"},
	"keywatch/kv/kvjson":     {"keywatch/kv"},
	"keywatch/watch":         {"keywatch/kv/trace", "keywatch/kv/latency", "keywatch/kv", "keywatch/kv/kvjson", "keywatch/kv/heap", "keywatch/kv/wake"},
	"keywatch/persist":       {"keywatch/kv/latency", "keywatch/kv", "keywatch/kv/progress", "keywatch/persist/wal", "keywatch/persist/disk"},
	"keywatch/persist/wal":   {"keywatch/kv/latency", "keywatch/persist/disk", "keywatch/kv/wake"},
	"keywatch/persist/disk":  {"keywatch/kv"},
	"keywatch/cluster":       {"keywatch/kv/trace", "keywatch/kv/latency", "keywatch/cluster/core", "keywatch/kv", "keywatch/kv/wake"},
	"keywatch/cluster/core":  {"keywatch/persist/wal"},
	"keywatch/cluster/peer":  {"keywatch/kv/wake"},
	"keywatch/kv/heap":       {},
	"keywatch/kv/wake":       {},
	"keywatch/kv/latency":    {},
	"keywatch/kv/progress":   {},
	"keywatch/kv/trace":      {"keywatch/kv/wake"},
	"keywatch/app/otlp":      {"keywatch/kv/trace"},
	"keywatch/kv/lock":       {"keywatch/kv"},
	"keywatch/kv/bind":       {"keywatch/kv", "keywatch/kv/heap", "keywatch/kv/wake"},
	"keywatch/app/hugepages": {},
	"keywatch/app/certs":     {},
	"keywatch/web/ui":        {},
	"keywatch/web/api":       {"keywatch/auth", "keywatch/watch", "keywatch/ratelimit", "keywatch/kv/lock", "keywatch/kv/kvjson", "keywatch/kv"},
	"keywatch/web/ws":        {"keywatch/kv/trace", "keywatch/auth", "keywatch/web/api", "keywatch/web/reactor", "keywatch/web/wire", "keywatch/watch", "keywatch/ratelimit", "keywatch/kv/lock", "keywatch/kv/bind", "keywatch/kv/kvjson", "keywatch/kv/wake", "keywatch/kv"},
	"keywatch/web/resp":      {"keywatch/kv/trace", "keywatch/auth", "keywatch/web/resp/wire", "keywatch/web/api", "keywatch/web/reactor", "keywatch/web/tlsconn", "keywatch/watch", "keywatch/ratelimit", "keywatch/kv/lock", "keywatch/kv/bind", "keywatch/kv"},
	"keywatch/web/resp/wire": {},
	"keywatch/web":           {"keywatch/auth/audit", "keywatch/kv/trace", "keywatch/web/resp", "keywatch/auth", "keywatch/kv/wake", "keywatch/kv/latency", "keywatch/web/ui", "keywatch/web/api", "keywatch/web/ws", "keywatch/web/reactor", "keywatch/web/tlsconn", "keywatch/watch", "keywatch/ratelimit", "keywatch/kv/lock", "keywatch/kv/kvjson", "keywatch/kv"},
	"keywatch/web/reactor":   {"keywatch/web/tlsconn", "keywatch/kv/heap", "keywatch/kv/wake"},
	"keywatch/web/tlsconn":   {"keywatch/auth"},
	"keywatch/web/wire":      {},
	"keywatch/app":           {"keywatch/app/certs", "keywatch/auth/audit", "keywatch/auth/jwt", "keywatch/app/otlp", "keywatch/kv/trace", "keywatch/auth", "keywatch/kv/latency", "keywatch/app/hugepages", "keywatch/web", "keywatch/web/api", "keywatch/kv/lock", "keywatch/watch", "keywatch/ratelimit", "keywatch/kv", "keywatch/cluster", "keywatch/cluster/peer", "keywatch/persist", "keywatch/persist/wal", "keywatch/persist/disk", "keywatch/persist/object", "keywatch/kv/wake", "keywatch/kv/progress"},
	"keywatch/app/keywatch":  {"keywatch/app", "keywatch/web/api", "keywatch/client", "keywatch/app/keywatch/fanout", "keywatch/kv/wake"},
	"keywatch/client":        {},

	"keywatch/persist/object": {"keywatch/kv", "keywatch/kv/progress"},

	"keywatch/examples":           {},
	"keywatch/examples/dashboard": {},
	"keywatch/examples/reload":    {"keywatch/client"},
	"keywatch/examples/workers":   {"keywatch/client"},
	"keywatch/test/browser":       {},
	"keywatch/test/cluster":       {},
	"keywatch/test/e2e":           {},
	"keywatch/test/golden":        {},
	"keywatch/test/readme":        {},
	"keywatch/test/words":         {},
	"keywatch/test/tcl":           {},

	"keywatch/app/keywatch/fanout": {},
	"keywatch/test/proxies":        {},
	"keywatch/test/cputime":        {},
	"keywatch/test/gate":           {},
	"keywatch/test/prove":          {"keywatch/test/gate"},
	"keywatch/test/rename":         {},
}

// testOnly are packages that only tests may import.
var testOnly = []string{"keywatch/kv/kvtest", "keywatch/kv/policy", "keywatch/watch/watchtest", "keywatch/app/certs/certstest", "keywatch/web/ws/wstest", "keywatch/persist/faultfs", "keywatch/persist/object/objecttest", "keywatch/cluster/sim", "keywatch/test/load"}

// impure may not be imported by kv, directly or not: the state machine has no
// I/O and no replication.
var impure = []string{"github.com/gofiber", "github.com/valyala/fasthttp", "go.etcd.io/bbolt", "go.etcd.io/raft", "net", "net/http", "os/exec"}

type pkg struct {
	ImportPath string
	Imports    []string
	Deps       []string
	Doc        string
}

func list(t *testing.T, patterns ...string) []pkg {
	t.Helper()
	out, err := exec.Command("go", append([]string{"list", "-json=ImportPath,Imports,Deps,Doc"}, patterns...)...).Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var all []pkg
	for dec := json.NewDecoder(strings.NewReader(string(out))); dec.More(); {
		var p pkg
		if err := dec.Decode(&p); err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
	return all
}

// If imports went both ways, no package could be understood or tested alone.
func TestImportsGoOneWay(t *testing.T) {
	all := list(t, "keywatch/...")
	ours := make(map[string]bool)
	for _, p := range all {
		ours[p.ImportPath] = true
	}
	for _, p := range all {
		if slices.Contains(testOnly, p.ImportPath) {
			continue
		}
		may, known := allowed[p.ImportPath]
		if !known {
			t.Errorf("%s is not in the table of allowed imports", p.ImportPath)
		}
		for _, i := range p.Imports {
			if ours[i] && !slices.Contains(may, i) {
				t.Errorf("%s imports %s, which is not allowed", p.ImportPath, i)
			}
		}
	}
}

// If the state machine could reach a disk or a socket, it would not be
// deterministic for long.
func TestStateMachineIsPure(t *testing.T) {
	for _, p := range list(t, "keywatch/kv") {
		for _, dep := range p.Deps {
			for _, bad := range impure {
				if dep == bad || strings.HasPrefix(dep, bad+"/") && strings.Contains(bad, ".") {
					t.Errorf("%s depends on %s", p.ImportPath, dep)
				}
			}
		}
	}
}

// servers are what a package below web may not reach: a protocol that is added
// later would bring the server with it.
var servers = map[string][]string{
	"keywatch/web/api":  {"github.com/gofiber/fiber/v2", "github.com/valyala/fasthttp", "net/http", "net"},
	"keywatch/web/ws":   {"github.com/gofiber/fiber/v2", "github.com/valyala/fasthttp"},
	"keywatch/web/resp": {"github.com/gofiber/fiber/v2", "github.com/valyala/fasthttp"},
}

// If what every protocol needs reached a server of HTTP, it could not be used
// without one.
func TestProtocolsHaveNoServer(t *testing.T) {
	for path, bad := range servers {
		for _, p := range list(t, path) {
			for _, dep := range bad {
				if slices.Contains(p.Deps, dep) {
					t.Errorf("%s depends on %s", p.ImportPath, dep)
				}
			}
		}
	}
}

// A package without a comment has no contract.
func TestEveryPackageHasAComment(t *testing.T) {
	for _, p := range list(t, "keywatch/...") {
		if p.Doc == "" {
			t.Errorf("%s has no package comment", p.ImportPath)
		}
	}
}
