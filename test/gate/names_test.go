package gate_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"

	"keywatch/test/gate"
)

// A proof under another name would run neither with the tests nor with the proofs;
// a test with a proof's name that does not call Long would run with both.
func TestNamesOfProofs(t *testing.T) {
	proofs := 0
	for path, f := range testFiles(t) {
		for _, d := range f.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok || fn.Recv != nil || !strings.HasPrefix(fn.Name.Name, "Test") {
				continue
			}
			named, long := strings.HasPrefix(fn.Name.Name, gate.Prefix), callsLong(fn)
			if named != long {
				t.Errorf("%s: %s: name begins with %s: %v, calls gate.Long: %v", path, fn.Name.Name, gate.Prefix, named, long)
			}
			if named {
				proofs++
			}
		}
	}
	if proofs == 0 {
		t.Error("no proof was found: the test tests nothing")
	}
}

// testFiles parses all test files of the module.
func testFiles(t *testing.T) map[string]*ast.File {
	t.Helper()
	files := make(map[string]*ast.File)
	err := filepath.WalkDir("../..", func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		files[path] = f
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// callsLong reports whether fn calls gate.Long.
func callsLong(fn *ast.FuncDecl) (long bool) {
	ast.Inspect(fn.Body, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		if s, ok := call.Fun.(*ast.SelectorExpr); ok && s.Sel.Name == "Long" {
			x, ok := s.X.(*ast.Ident)
			long = long || ok && x.Name == "gate"
		}
		return true
	})
	return long
}
