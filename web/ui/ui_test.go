package ui_test

import (
	"bytes"
	"compress/gzip"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"keywatch/test/gate"
	"keywatch/web/ui"
)

// If the module were put together wrongly, no browser could run it; its parts
// and those of the dashboard that need no page are tried here without one.
func TestClientUnderNode(t *testing.T) {
	node := gate.Program(t, "node")
	dir := t.TempDir()
	module, _ := ui.Lookup("/keywatch.js")
	types, _ := ui.Lookup("/keywatch.d.ts")
	files := map[string][]byte{"keywatch.mjs": module.Body, "keywatch.d.ts": types.Body, "package.json": []byte(`{"type":"module"}`)}
	for _, path := range ui.Paths() {
		if name, ok := strings.CutPrefix(path, "/ui/"); ok {
			f, _ := ui.Lookup(path)
			files[name] = f.Body
		}
	}
	tests, err := filepath.Glob("testdata/*.test.mjs")
	if err != nil || len(tests) == 0 {
		t.Fatalf("no tests in testdata: %v", err)
	}
	for _, name := range tests {
		if files[filepath.Base(name)], err = os.ReadFile(name); err != nil {
			t.Fatal(err)
		}
	}
	for name, body := range files {
		if err := os.WriteFile(filepath.Join(dir, name), body, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(node, "--test")
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("node --test: %v\n%s", err, out)
	}
	if !regexp.MustCompile(`(?m)^# pass [1-9]|^ℹ pass [1-9]`).Match(out) {
		t.Errorf("no test passed:\n%s", out)
	}
}

// If script and styles grew without anybody noticing, the page would get slow.
func TestDashboardIsSmall(t *testing.T) {
	const most = 60_000
	total := 0
	for _, path := range ui.Paths() {
		if strings.HasSuffix(path, ".js") || strings.HasSuffix(path, ".css") {
			f, _ := ui.Lookup(path)
			total += len(f.Gzip)
		}
	}
	if total > most {
		t.Errorf("script and styles are %d bytes compressed, more than %d", total, most)
	}
	t.Logf("script and styles: %d bytes", total)
}

// If a file was another one compressed, or was not smaller, browsers would get a
// broken page or wait longer.
func TestFilesAreCompressed(t *testing.T) {
	for _, path := range ui.Paths() {
		f, _ := ui.Lookup(path)
		r, err := gzip.NewReader(bytes.NewReader(f.Gzip))
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		if body, err := io.ReadAll(r); err != nil || !bytes.Equal(body, f.Body) {
			t.Errorf("%s: compressed it is another file, %v", path, err)
		}
		if len(f.Gzip) >= len(f.Body) || f.GzipETag == f.ETag {
			t.Errorf("%s: %d bytes compressed, %d otherwise; tags %s and %s", path, len(f.Gzip), len(f.Body), f.GzipETag, f.ETag)
		}
	}
}

// If a page had scripts, styles or handlers in it, its policy would block them.
func TestNothingIsInline(t *testing.T) {
	inline := regexp.MustCompile(`(?i)<script(?:[^>]*)>[^<]|<style|\sstyle=|\son[a-z]+=|https?://|javascript:`)
	page, ok := ui.Lookup("/")
	if !ok {
		t.Fatal("there is no page")
	}
	if found := inline.FindString(string(page.Body)); found != "" {
		t.Errorf("the page has %q in it", found)
	}
}

// If the page named its files by absolute paths, it would be blank where a proxy
// has the server below a path.
func TestEveryAddressIsRelative(t *testing.T) {
	page, _ := ui.Lookup("/")
	refs := regexp.MustCompile(`(?:href|src)="([^#"][^"]*)"`).FindAllStringSubmatch(string(page.Body), -1)
	if len(refs) < 5 {
		t.Fatalf("the page refers to %d files: %q", len(refs), refs)
	}
	for _, ref := range refs {
		if _, ok := ui.Lookup("/" + ref[1]); !ok {
			t.Errorf("the page refers to %s, which is not there", ref[1])
		}
	}
	absolute := regexp.MustCompile(`(?:from|import\()\s*'(/[^']*)'|fetch\(['"` + "`" + `]/`)
	for _, path := range ui.Paths() {
		f, _ := ui.Lookup(path)
		if found := absolute.Find(f.Body); strings.HasSuffix(path, ".js") && found != nil {
			t.Errorf("%s has an absolute address: %s", path, found)
		}
	}
}

// If a file had no type, a browser would not run it; if tags did not tell
// files apart, it would keep old ones.
func TestFilesHaveTypesAndTags(t *testing.T) {
	tags := map[string]string{}
	for _, path := range ui.Paths() {
		f, ok := ui.Lookup(path)
		if !ok || f.Type == "" || len(f.Body) == 0 {
			t.Errorf("%s: type %q, %d bytes", path, f.Type, len(f.Body))
		}
		if other, twice := tags[f.ETag]; twice {
			t.Errorf("%s and %s have the same tag", path, other)
		}
		tags[f.ETag] = path
	}
	for _, path := range []string{"", "/ui", "/ui/", "/ui/../ui/app.js", "/index.html", "/ui/keywatch.js", "//"} {
		if _, ok := ui.Lookup(path); ok {
			t.Errorf("there is something at %q", path)
		}
	}
}
