package web_test

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

// direct finds what gets at the store or the hub that a server was given.
var direct = regexp.MustCompile(`(?i)opts\.(Store|Hub)\b|\bo\.(Store|Hub)\b`)

// If this failed, something would reach the store or the hub without a look at who asks.
func TestOnlyTheDoorNamesStoreAndHub(t *testing.T) {
	may := map[string]bool{"door.go": true, "options.go": true}
	found := 0
	for _, dir := range []string{".", "ws", "api", "resp"} {
		files, err := filepath.Glob(filepath.Join(dir, "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			source, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			name := filepath.Base(file)
			if regexp.MustCompile(`_test\.go$`).MatchString(name) {
				continue
			}
			if hit := direct.Find(source); hit != nil {
				if found++; !may[name] {
					t.Errorf("%s has %q: use a view of the door", file, hit)
				}
			}
		}
	}
	if found < 2 {
		t.Error("the pattern finds not even the door")
	}
}
