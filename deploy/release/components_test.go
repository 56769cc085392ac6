package main

import (
	"encoding/json"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	cdx "github.com/CycloneDX/cyclonedx-go"

	"keywatch/deploy/try"
)

// If the list of components differed from what go finds in the binary, a fault in a
// module would be looked for in vain.
func TestComponentsAreThoseOfTheBinary(t *testing.T) {
	var bom cdx.BOM
	if err := json.Unmarshal(content(t, file(t, ".cdx.json")), &bom); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, c := range *bom.Components {
		if c.Name != "std" {
			got = append(got, c.Name+" "+c.Version)
		}
		if c.Licenses == nil || (*c.Licenses)[0].License.ID == "" {
			t.Errorf("%s has no licence", c.Name)
		}
		if c.PackageURL == "" {
			t.Errorf("%s has no address for those who look for advisories", c.Name)
		}
	}
	dir := t.TempDir()
	try.Run(t, "tar", "xzf", file(t, ".tar.gz"), "-C", dir, "--strip-components=1")
	var want []string
	for line := range strings.Lines(try.Run(t, "go", "version", "-m", filepath.Join(dir, "keywatch"))) {
		if f := strings.Fields(line); len(f) >= 3 && f[0] == "dep" {
			want = append(want, f[1]+" "+f[2])
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	if len(want) < 20 || !slices.Equal(got, want) {
		t.Errorf("components:\n%s\nmodules of the binary:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if v := bom.Metadata.Component.Version; v != "v0.1.0" {
		t.Errorf("version %q", v)
	}
}
