package words_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// root is the project's folder as seen from here.
const root = "../.."

// forTests are folders whose words only those who test read.
var forTests = map[string]bool{"kvtest": true, "watchtest": true, "wstest": true, "objecttest": true, "test": true}

// read are the kinds of files that people read.
var read = map[string]bool{".go": true, ".md": true, ".yaml": true, ".yml": true, ".html": true, ".js": true, ".ts": true, ".sh": true}

// banned has what readers stumbled over, and what to say instead.
var banned = []struct{ pattern, instead string }{
	{`(?:is|are|be|was) wanted`, "expected, required"},
	{`\bwants? (?:a|an|the)\b`, "requires"},
	{`(?:is|are|be|was) taken\b(?: here)?`, "supported, accepted, used"},
	{`(?:is|are|be) spoken`, "supported"},
	{`\blies\b`, "is, is stored"},
	{`\bgoes (?:on|away|with)\b`, "continues, is removed, requires"},
	{`\bhangs? on\b`, "is attached to"},
	{`\b(?:comes?|came) back\b`, "reconnects, returns"},
	{`\banew\b`, "again"},
	{`\bwhoever\b`, "a client that"},
	{`\bsomebody\b`, "another client"},
	{`\bnobody\b`, "no client, not"},
	{`\bby (?:itself|themselves)\b`, "automatically, alone"},
	{`\bnever was\b`, "does not exist"},
}

var bad = func() *regexp.Regexp {
	var all []string
	for _, b := range banned {
		all = append(all, b.pattern)
	}
	return phrases(strings.Join(all, "|"))
}()

// phrases returns a pattern that finds words in any case, and on two lines too.
func phrases(pattern string) *regexp.Regexp {
	return regexp.MustCompile("(?i)" + strings.ReplaceAll(pattern, " ", `\s+`))
}

// plainComments are the folders in which comments are plain too, those of tests included.
var plainComments = []string{"app", "auth", "client", "cluster", "deploy", "examples", "kv", "persist", "ratelimit", "test", "watch", "web"}

// instead returns what to say for a phrase that is banned.
func instead(phrase string) string {
	for _, b := range banned {
		if phrases(b.pattern).MatchString(phrase) {
			return b.instead
		}
	}
	return ""
}

// find returns a line for each banned phrase in text, which begins at a line of a file.
func find(file string, line int, text string) (found []string) {
	for _, at := range bad.FindAllStringIndex(text, -1) {
		phrase := text[at[0]:at[1]]
		found = append(found, fmt.Sprintf("%s:%d: %q: say %s", file, line+strings.Count(text[:at[0]], "\n"), phrase, instead(phrase)))
	}
	return found
}

// findInCode returns the banned phrases in the strings of a Go file.
func findInCode(file string, source []byte) (found []string, err error) {
	fset := token.NewFileSet()
	parsed, err := parser.ParseFile(fset, file, source, parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	ast.Inspect(parsed, func(n ast.Node) bool {
		lit, ok := n.(*ast.BasicLit)
		if !ok || lit.Kind != token.STRING {
			return true
		}
		text, err := strconv.Unquote(lit.Value)
		if err == nil {
			found = append(found, find(file, fset.Position(lit.Pos()).Line, text)...)
		}
		return true
	})
	return found, nil
}

// findInComments returns the banned phrases in the comments of a Go file.
func findInComments(file string, source []byte) (found []string, err error) {
	fset := token.NewFileSet()
	parsed, err := parser.ParseFile(fset, file, source, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	for _, group := range parsed.Comments {
		var lines []string
		for _, c := range group.List {
			lines = append(lines, strings.TrimPrefix(c.Text, "//"))
		}
		found = append(found, find(file, fset.Position(group.Pos()).Line, strings.Join(lines, "\n"))...)
	}
	return found, nil
}

// If this failed, a comment would be a riddle again.
func TestPlainComments(t *testing.T) {
	for _, dir := range plainComments {
		files := 0
		err := filepath.WalkDir(filepath.Join(root, dir), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || filepath.Ext(path) != ".go" {
				return err
			}
			files++
			source, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			file, _ := filepath.Rel(root, path)
			found, err := findInComments(file, source)
			for _, f := range found {
				t.Error(f)
			}
			return err
		})
		if err != nil || files == 0 {
			t.Errorf("%s: %d files, %v", dir, files, err)
		}
	}
}

// If this failed, an operator would read an error, a log line, a flag or a document twice.
func TestPlainWords(t *testing.T) {
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		name := d.Name()
		switch {
		case err != nil:
			return err
		case d.IsDir() && (forTests[name] || name == "testdata" || strings.HasPrefix(name, ".") && name != ".." || name == "node_modules"):
			return fs.SkipDir
		case d.IsDir() || strings.HasSuffix(name, "_test.go"):
			return nil
		case !read[filepath.Ext(name)]:
			return nil
		}
		source, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		file, _ := filepath.Rel(root, path)
		found := find(file, 1, string(source))
		if filepath.Ext(name) == ".go" {
			if found, err = findInCode(file, source); err != nil {
				return err
			}
		}
		for _, f := range found {
			t.Error(f)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// If this failed, the test above would find nothing whatever is written.
func TestBannedWordsAreFound(t *testing.T) {
	found, err := findInCode("a.go", []byte("package a\n\nvar x = `an object is wanted`\nvar y = \"whoever comes back\" // whoever\n"))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{`a.go:3: "is wanted": say expected, required`, `a.go:4: "whoever": say a client that`, `a.go:4: "comes back": say reconnects, returns`}
	if fmt.Sprint(found) != fmt.Sprint(want) {
		t.Errorf("got %q, want %q", found, want)
	}
	found, err = findInComments("a.go", []byte("package a\n\n// The server comes\n// back anew.\nvar x = \"whoever\" // Nobody\n"))
	if err != nil {
		t.Fatal(err)
	}
	want = []string{"a.go:3: \"comes\\n back\": say reconnects, returns", `a.go:4: "anew": say again`, `a.go:5: "Nobody": say no client, not`}
	if fmt.Sprint(found) != fmt.Sprint(want) {
		t.Errorf("in comments: got %q, want %q", found, want)
	}
}
