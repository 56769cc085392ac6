package readme_test

import (
	"io/fs"
	"os"
	"path/filepath"
)

// lookAtSources looks at every file below root. The go command gives a kept result
// of a test as long as what the test looked at is the same; what programs are made
// of that a test builds it does not see.
func lookAtSources(root string) error {
	return filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && (d.Name() == ".git" || d.Name() == "bin" || d.Name() == "keywatch-data" || d.Name() == "keywatch-cluster") {
			return filepath.SkipDir
		}
		if err == nil && !d.IsDir() {
			_, err = os.Stat(path)
		}
		return err
	})
}
