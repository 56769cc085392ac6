package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// newModule writes a module named path with the folders kv and client.
func newModule(t *testing.T, path string, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	files["go.mod"] = "module " + path + "\n"
	files["kv/kv.go"], files["client/client.go"] = "package kv\n", "package client\n"
	for name, text := range files {
		if err := os.MkdirAll(filepath.Join(root, filepath.Dir(name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(root, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// If it left a path as it was the module would not build; if it changed what only
// looks like one, a file name or the name of the command would be broken.
func TestRenameChangesPathsOnly(t *testing.T) {
	for _, path := range []string{"keywatch", "example.org/old/keywatch"} {
		t.Run(path, func(t *testing.T) {
			r, err := newRenamer(newModule(t, path, map[string]string{}), "example.org/new")
			if err != nil {
				t.Fatal(err)
			}
			for old, want := range map[string]string{
				"import \"M/kv\"\n":                                "import \"example.org/new/kv\"\n",
				"Package `M/client`; more":                         "Package `example.org/new/client`; more",
				"go build M/kv M/client M/...":                     "go build example.org/new/kv example.org/new/client example.org/new/...",
				"-X=M/kv.version=1":                                "-X=example.org/new/kv.version=1",
				"module M\n":                                       "module example.org/new\n",
				"module M/kv/inner\n":                              "module example.org/new/kv/inner\n",
				"go mod edit -replace M=../keywatch":               "go mod edit -replace example.org/new=../keywatch",
				"replace M => ../..\n":                             "replace example.org/new => ../..\n",
				"./M/kv, /M/kv, x/M/kv, x-M/kv, ~/M/kv, $DIR/M/kv": "",
				"M/kvx, M/other, M serve, M":                       "",
			} {
				old, want = strings.ReplaceAll(old, "M", path), strings.ReplaceAll(want, "M", path)
				if want == "" {
					want = old
				}
				if got := string(r.text([]byte(old))); got != want {
					t.Errorf("%q: got %q, want %q", old, got, want)
				}
			}
		})
	}
}

// A file that was half changed, was not formatted, or lost its mode would have to be
// mended by hand.
func TestRenameChangesFiles(t *testing.T) {
	root := newModule(t, "keywatch", map[string]string{
		"client/use.go": "package client\n\nimport (\n\t\"aaa\"\n\t\"keywatch/kv\"\n)\n\nvar _ = map[string]int{\n\t\"keywatch/kv\": 1,\n\t\"another/one\": 2,\n}\n",
		"run":           "go build keywatch/kv\n",
		"picture":       "\x00keywatch/kv",
		".git/config":   "keywatch/kv",
	})
	if err := os.Chmod(filepath.Join(root, "run"), 0o755); err != nil {
		t.Fatal(err)
	}
	changed, err := rename(root, "aa.org/x")
	if err != nil || changed != 3 {
		t.Errorf("changed %d files, %v; want 3", changed, err)
	}
	for name, want := range map[string]string{
		"go.mod":        "module aa.org/x\n",
		"client/use.go": "package client\n\nimport (\n\t\"aa.org/x/kv\"\n\t\"aaa\"\n)\n\nvar _ = map[string]int{\n\t\"aa.org/x/kv\": 1,\n\t\"another/one\": 2,\n}\n",
		"run":           "go build aa.org/x/kv\n",
		"picture":       "\x00keywatch/kv",
		".git/config":   "keywatch/kv",
	} {
		if got, err := os.ReadFile(filepath.Join(root, name)); err != nil || string(got) != want {
			t.Errorf("%s: got %q, %v; want %q", name, got, err, want)
		}
	}
	if info, err := os.Stat(filepath.Join(root, "run")); err != nil || info.Mode().Perm() != 0o755 {
		t.Errorf("run: %v, %v; want mode 0755", info, err)
	}
}

// A path that Go does not accept would leave a module that no command can read.
func TestRenameRefusesBadPaths(t *testing.T) {
	root := newModule(t, "keywatch", map[string]string{})
	for _, to := range []string{"", "/a", "a/", "a//b", "a b", "a\nb", "../a", "$1", "a@v1", "-a", "http://a"} {
		if _, err := rename(root, to); err == nil {
			t.Errorf("%q was accepted", to)
		}
	}
}
