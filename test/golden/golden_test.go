package golden_test

import (
	"flag"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "record the answers anew")

var lengthText = regexp.MustCompile(`Content-Length: [0-9]+`)

// If the server sent other bytes than before, clients that never saw the change
// coming could break.
func TestGolden(t *testing.T) {
	paths, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(paths) < 3 {
		t.Fatalf("scripts: %v, %v", paths, err)
	}
	for _, path := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txt"), func(t *testing.T) {
			t.Parallel()
			playScript(t, path)
		})
	}
}

// playScript plays a script and compares, or records it.
func playScript(t *testing.T, path string) {
	blocks, err := readScript(path)
	if err != nil {
		t.Fatal(err)
	}
	p := &player{t: t}
	defer p.close()
	for i := range blocks {
		b := &blocks[i]
		reads, err := p.play(b)
		if err != nil {
			t.Fatalf("%s: %v\nread so far:\n%s", path, err, strings.Join(reads, "\n"))
		}
		if *update {
			b.reads = reads
		} else if !slices.Equal(reads, b.reads) {
			t.Errorf("%s:%d: %s\ngot\n%s\nwant\n%s", path, b.line, differs(reads, b.reads),
				strings.Join(reads, "\n"), strings.Join(b.reads, "\n"))
		}
	}
	if *update {
		if err := writeScript(path, blocks); err != nil {
			t.Fatal(err)
		}
	}
}

// differs says whether anything but words differs.
func differs(got, want []string) string {
	words := func(line string) bool { return strings.HasPrefix(line, "~") }
	if slices.Equal(slices.DeleteFunc(slices.Clone(got), words), slices.DeleteFunc(slices.Clone(want), words)) {
		return "only the words of an error differ; -update records them"
	}
	return "the bytes differ"
}
