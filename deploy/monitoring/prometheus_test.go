package monitoring_test

import (
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"keywatch/deploy/try"
)

// quiet are panels that need not have a series: nothing that they show happens in the test.
var quiet = []string{"Background work: for how long"}

// If a panel named what no server exports it would stay empty, and an alert would never
// fire. A real Prometheus scrapes three servers here: one under load, one whose disk fills, and one with
// users and TLS at the address for operators.
func TestPrometheus(t *testing.T) {
	program := try.Program(t, "prometheus")
	binary := try.Build(t, runtime.GOARCH)
	dir := t.TempDir()

	busy := serve(t, binary, "--data", filepath.Join(dir, "busy"), "--object-store", "dir://"+filepath.Join(dir, "objects"), "--checkpoint-every=1s",
		"--name=n1", "--peer-insecure", "--peer-listen="+try.Address(t))
	full := serve(t, binary, "--data", smallDisk(t))
	secured := "http://" + try.Address(t)
	serve(t, binary, "--data", filepath.Join(dir, "secured"), "--auth=on", "--tls-self-signed",
		"--jwt-keys", keysOfTokens(t), "--jwt-issuer=idp", "--jwt-audience=keywatch", "--ops-listen="+strings.TrimPrefix(secured, "http://"))
	prom := startPrometheus(t, program, busy, full, secured)
	try.Start(t, exec.Command(binary, "--server", busy, "watch", "bench/"))
	bench := try.Start(t, exec.Command(binary, "--server", busy, "bench", "mixed", "--conns=2", "--keys=100", "--seconds=300"))

	for title, list := range expressions(t) {
		if slices.Contains(quiet, title) {
			continue
		}
		for _, expr := range list {
			try.Until(t, func() bool { return prom.draws(t, expr) }, "a series of %q: %s", title, expr)
		}
	}
	prom.rulesAreHealthy(t)
	exported(t, busy, secured)
	bench.Kill()

	fill(t, full)
	try.Until(t, func() bool { return prom.fires(t, "KeywatchDiskFull", strings.TrimPrefix(full, "http://")) }, "the alert of a full disk")
	if prom.fires(t, "KeywatchDiskFull", strings.TrimPrefix(busy, "http://")) {
		t.Error("the alert of a full disk fires for a server that has room")
	}
}

// serve starts a server and returns its URL.
func serve(t *testing.T, binary string, args ...string) string {
	p := try.Start(t, exec.Command(binary, append([]string{"serve", "--listen=127.0.0.1:0"}, args...)...))
	address, _, _ := strings.Cut(p.Line("keywatch: "), " ")
	return address
}

// keysOfTokens returns a file with the key of an issuer.
func keysOfTokens(t *testing.T) string {
	path := filepath.Join(t.TempDir(), "keys.json")
	key := `{"kty":"OKP","crv":"Ed25519","kid":"a","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}` // of RFC 8037
	if err := os.WriteFile(path, []byte(key), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// smallDisk returns a folder on a disk of 48 MiB.
func smallDisk(t *testing.T) string {
	if os.Getuid() != 0 {
		try.Missing(t, "a disk is mounted by root")
	}
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=48m"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return filepath.Join(dir, "data")
}

// fill writes values until the server refuses them because its disk is full.
func fill(t *testing.T, server string) {
	value := strings.Repeat("x", 1<<20)
	n := 0
	try.Until(t, func() bool {
		n++
		status, body := try.Do(t, "PUT", fmt.Sprintf("%s/v1/kv/%d", server, n), value)
		return status >= 500 && strings.Contains(body, "disk_full")
	}, "a full disk")
}

var named = regexp.MustCompile(`\b(?:keywatch|process|go)_[a-z_]+\b`)

// exported fails t if a rule or a panel names a metric that no server exports.
func exported(t *testing.T, servers ...string) {
	text := ""
	for _, server := range servers {
		status, more := try.Get(t, server+"/metrics")
		if status != 200 {
			t.Fatalf("/metrics: %d", status)
		}
		text += more
	}
	var all []string
	for _, list := range expressions(t) {
		all = append(all, list...)
	}
	for _, r := range rules(t) {
		all = append(all, r.Expr)
	}
	seen := make(map[string]bool)
	for _, expr := range all {
		for _, name := range named.FindAllString(expr, -1) {
			if seen[name] {
				continue
			}
			seen[name] = true
			family := regexp.MustCompile(`(?m)^# TYPE ` + strings.TrimSuffix(name, "_bucket") + ` `)
			if !family.MatchString(text) {
				t.Errorf("no server exports %s", name)
			}
		}
	}
	if len(seen) < 40 {
		t.Errorf("only %d metrics are named", len(seen))
	}
}

// A prometheus is a running Prometheus.
type prometheus struct{ url string }

// startPrometheus starts a Prometheus that scrapes servers and evaluates the rules each
// second.
func startPrometheus(t *testing.T, program string, servers ...string) prometheus {
	dir := t.TempDir()
	rulesFile, err := filepath.Abs("rules.yml")
	if err != nil {
		t.Fatal(err)
	}
	var targets []string
	for _, s := range servers {
		targets = append(targets, strings.TrimPrefix(s, "http://"))
	}
	config := fmt.Sprintf("global: {scrape_interval: 1s, evaluation_interval: 1s}\nrule_files: [%q]\nscrape_configs:\n  - job_name: keywatch\n    static_configs: [{targets: [%s]}]\n", rulesFile, strings.Join(targets, ", "))
	path := filepath.Join(dir, "prometheus.yml")
	if err := os.WriteFile(path, []byte(config), 0o644); err != nil {
		t.Fatal(err)
	}
	address := try.Address(t)
	try.Start(t, exec.Command(program, "--config.file="+path, "--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address="+address))
	p := prometheus{"http://" + address}
	try.Until(t, func() bool { status, _ := try.Get(t, p.url+"/-/ready"); return status == 200 }, "Prometheus is ready")
	return p
}

// get reads an answer of the API.
func (p prometheus) get(t *testing.T, path string, into any) {
	status, body := try.Get(t, p.url+path)
	if status != 200 {
		t.Fatalf("%s: %d %s", path, status, body)
	}
	if err := json.Unmarshal([]byte(body), into); err != nil {
		t.Fatal(err)
	}
}

// draws reports whether an expression has a series, and a histogram one whose value is a
// number.
func (p prometheus) draws(t *testing.T, expr string) bool {
	var answer struct {
		Data struct {
			Result []struct{ Value [2]any }
		}
	}
	p.get(t, "/api/v1/query?query="+url.QueryEscape(expr), &answer)
	for _, r := range answer.Data.Result {
		if r.Value[1] != "NaN" {
			return true
		}
	}
	return false
}

// rulesAreHealthy fails t if a rule cannot be evaluated.
func (p prometheus) rulesAreHealthy(t *testing.T) {
	type state struct{ Name, Health, LastError string }
	var answer struct {
		Data struct{ Groups []struct{ Rules []state } }
	}
	try.Until(t, func() bool {
		p.get(t, "/api/v1/rules", &answer)
		for _, g := range answer.Data.Groups {
			if slices.ContainsFunc(g.Rules, func(s state) bool { return s.Health == "unknown" }) {
				return false
			}
		}
		return len(answer.Data.Groups) == 1
	}, "all rules are evaluated")
	for _, r := range answer.Data.Groups[0].Rules {
		if r.Health != "ok" {
			t.Errorf("%s: %s %s", r.Name, r.Health, r.LastError)
		}
	}
}

// fires reports whether an alert fires for a server.
func (p prometheus) fires(t *testing.T, alert, instance string) bool {
	var answer struct {
		Data struct {
			Alerts []struct {
				Labels map[string]string
				State  string
			}
		}
	}
	p.get(t, "/api/v1/alerts", &answer)
	for _, a := range answer.Data.Alerts {
		if a.Labels["alertname"] == alert && a.Labels["instance"] == instance && a.State == "firing" {
			return true
		}
	}
	return false
}
