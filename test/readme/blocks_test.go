package readme_test

import (
	"os"
	"strings"
	"testing"
)

// A block is a piece of code in a text.
type block struct {
	line int    // where it begins
	lang string // what a fence says of it, "" for an indented block
	text string
}

// readBlocks returns the blocks of a Markdown file, in order.
func readBlocks(t *testing.T, path string) []block {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return blocks(string(text))
}

// blocks returns what is fenced, and what is indented by four spaces after an
// empty line. Empty lines between indented ones belong to the block.
func blocks(markdown string) (found []block) {
	lines := strings.Split(markdown, "\n")
	for i := 0; i < len(lines); i++ {
		var b block
		var end int
		if lang, fenced := strings.CutPrefix(lines[i], "```"); fenced {
			b.lang, b.line = lang, i+2
			for end = i + 1; end < len(lines) && lines[end] != "```"; end++ {
				b.text += lines[end] + "\n"
			}
		} else if indented(lines[i]) && i > 0 && lines[i-1] == "" {
			b.line = i + 1
			for end = i; end < len(lines) && (indented(lines[end]) || lines[end] == ""); end++ {
				b.text += strings.TrimPrefix(lines[end], "    ") + "\n"
			}
			b.text = strings.TrimRight(b.text, "\n") + "\n"
			end--
		} else {
			continue
		}
		found = append(found, b)
		i = end
	}
	return found
}

func indented(line string) bool { return strings.HasPrefix(line, "    ") }

// first returns the first line of a block.
func (b block) first() string {
	line, _, _ := strings.Cut(b.text, "\n")
	return line
}

// A step says what is to become of a block.
type step struct {
	// first is the first line of the block, which tells which one it is.
	first string
	do    func(*reader, block)
}

// pair finds the step of each block. It says which blocks no step knows, and
// which steps have no block, or not in this order.
func pair(all []block, steps []step) (wrong []string) {
	next := 0
	for _, b := range all {
		at := next
		for at < len(steps) && steps[at].first != b.first() {
			at++
		}
		if at == len(steps) {
			wrong = append(wrong, "nobody knows what the block "+b.first()+" should do")
			continue
		}
		for ; next < at; next++ {
			wrong = append(wrong, "the text has no block "+steps[next].first)
		}
		next++
	}
	for ; next < len(steps); next++ {
		wrong = append(wrong, "the text has no block "+steps[next].first)
	}
	return wrong
}

// If this failed, a block could be added to a text, or taken from it, without a
// test that notices.
func TestUnknownBlocksAreFound(t *testing.T) {
	const text = "# Title\n\n    one\n\n    still one\n\ntext\n\n```go\ntwo\n```\n\n- list\n    no block\n\n    three\n"
	got := blocks(text)
	want := []block{{3, "", "one\n\nstill one\n"}, {10, "go", "two\n"}, {16, "", "three\n"}}
	if len(got) != len(want) {
		t.Fatalf("got %+v, want %+v", got, want)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("got %+v, want %+v", got[i], want[i])
		}
	}
	for _, c := range []struct {
		steps string
		wrong int
	}{{"one two three", 0}, {"one three", 1}, {"one two three four", 1}, {"one two two three", 1}, {"", 3}} {
		var steps []step
		for _, first := range strings.Fields(c.steps) {
			steps = append(steps, step{first: first})
		}
		if wrong := pair(got, steps); len(wrong) != c.wrong {
			t.Errorf("steps %q: %q, want %d", c.steps, wrong, c.wrong)
		}
	}
}
