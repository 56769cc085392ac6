package readme_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"keywatch/test/gate"
)

// commandIn finds the commands of CONTRIBUTING.md that run a test, a fuzz target or a
// benchmark: the package and its name.
var commandIn = regexp.MustCompile(`go test (?:-\S+ )*\./(\S+) (?:-run '\^\$' )?-(?:run|fuzz|bench) '?([A-Za-z]+)`)

// If this failed, a newcomer would run a test that does not exist, and Go would say
// that all is well.
func TestContributingNamesTestsThatExist(t *testing.T) {
	text, err := os.ReadFile("../../CONTRIBUTING.md")
	if err != nil {
		t.Fatal(err)
	}
	found := commandIn.FindAllStringSubmatch(string(text), -1)
	if len(found) < 12 {
		t.Errorf("only %d commands were found", len(found))
	}
	for _, c := range found {
		if !declares(t, filepath.Join("../..", c[1]), c[2]) {
			t.Errorf("%s: package %s has no %s", c[0], c[1], c[2])
		}
	}
}

// declares reports whether a test file in dir has a function.
func declares(t *testing.T, dir, function string) bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(text), "\nfunc "+function+"(") {
			return true
		}
	}
	return false
}

// contributingSteps are what becomes of each block of CONTRIBUTING.md.
var contributingSteps = []step{
	{"git clone URL keywatch && cd keywatch", func(*reader, block) {}}, // the README's first start
	{"grep -n 'put answers' web/*.go", func(r *reader, b block) {
		r.run(r.home, b.text, `web/put\.go:\d+:// put answers PUT of a key\.\n(?:\d+:.*Content-Encoding.*\n)+`)
	}},
	{"go test ./test/golden -run 'TestGolden/keys'", func(r *reader, b block) {
		r.run(r.home, "sed -i 's/send the body as it is/send the body as it was/' web/put.go", "")
		r.run(r.home, "! "+b.text, `(?s).*only the words of an error differ.*as it was.*as it is.*`)
	}},
	{"go test ./test/golden -update", func(r *reader, b block) {
		record, _, _ := strings.Cut(b.text, "\n") // the copy is no repository
		r.run(r.home, record, `ok .*\n`)
		r.run(r.home, "go test ./test/golden -run 'TestGolden/keys'", `ok .*\n`)
	}},
}

// If this failed, a newcomer who follows the first ten minutes would end elsewhere.
func TestProofContributing(t *testing.T) {
	gate.Long(t)
	r := newReader(t)
	if err := os.CopyFS(r.home, os.DirFS(r.root)); err != nil {
		t.Fatal(err)
	}
	r.env = append(r.env, "GOFLAGS=-buildvcs=false")
	r.follow("CONTRIBUTING.md", contributingSteps)
}

// taskName finds the names of tasks: in Taskfile.yml, and in the table of
// CONTRIBUTING.md.
var taskName = regexp.MustCompile("(?m)^  ([a-z-]+):$|^\\| ((?:`[a-z-]+`(?:, )?)+) \\|")

// If this failed, the table of tasks would name one that does not exist, or Task
// would refuse the whole file: in a flow sequence braces are not text.
func TestTasksExist(t *testing.T) {
	taskfile, err := os.ReadFile("../../Taskfile.yml")
	if err != nil {
		t.Fatal(err)
	}
	tasks := make(map[string]bool)
	for _, m := range taskName.FindAllStringSubmatch(string(taskfile), -1) {
		tasks[m[1]] = true
	}
	for line := range strings.Lines(string(taskfile)) {
		if _, list, flow := strings.Cut(line, ": ["); flow && strings.ContainsAny(list, "{}") {
			t.Errorf("Taskfile.yml: a template in a flow sequence: %s", line)
		}
	}
	text, err := os.ReadFile("../../CONTRIBUTING.md")
	if err != nil {
		t.Fatal(err)
	}
	named := 0
	for _, m := range taskName.FindAllStringSubmatch(string(text), -1) {
		for name := range strings.SplitSeq(m[2], ", ") {
			if named++; !tasks[strings.Trim(name, "`")] {
				t.Errorf("CONTRIBUTING.md names the task %s, which Taskfile.yml has not", name)
			}
		}
	}
	if named < 10 {
		t.Errorf("only %d names were found: the test tests nothing", named)
	}
}

// If this failed, a newcomer would meet a package that the map of ARCHITECTURE.md does not have.
func TestMapNamesEveryPackage(t *testing.T) {
	text, err := os.ReadFile("../../ARCHITECTURE.md")
	if err != nil {
		t.Fatal(err)
	}
	list := exec.CommandContext(t.Context(), "go", "list", "-f", "{{.ImportPath}} {{.Module.Path}}", "./...")
	list.Dir = "../.."
	out, err := list.Output()
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(out)) {
		name, module, _ := strings.Cut(strings.TrimSpace(line), " ")
		name = strings.TrimPrefix(name, module+"/")
		if strings.HasPrefix(name, "examples/") { // examples/README.md has them
			continue
		}
		// Two that stand together: "kv/heap, kv/wake", or "test/prove, rename".
		short := name[strings.LastIndexByte(name, '/')+1:]
		if !regexp.MustCompile(`(?m)^    (\S+, )*(` + regexp.QuoteMeta(name) + `|` + regexp.QuoteMeta(short) + `)(, \S+)*  `).Match(text) {
			t.Errorf("the map does not have %s", name)
		}
	}
}
