package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// copyright writes what Debian's policy asks of /usr/share/doc/keywatch/copyright, and
// returns its path. NOTICE is beside it and has the texts of the modules.
func (r *release) copyright(t target) (string, error) {
	text := fmt.Sprintf(`Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: keywatch

Files: *
Copyright: %d the authors of keywatch
License: Apache-2.0
 On Debian systems the text of the licence is in
 /usr/share/common-licenses/Apache-2.0.
Comment: The modules that the command contains, and their licences, are listed in
 /usr/share/doc/keywatch/NOTICE.
`, r.time.Year())
	path := filepath.Join(r.work, "copyright_"+t.arch)
	return path, os.WriteFile(path, []byte(text), 0o644)
}

// changelogs writes the changelog of the package and that of keywatch, and returns
// their paths.
func (r *release) changelogs() (debian, upstream string, err error) {
	var b bytes.Buffer
	fmt.Fprintf(&b, "keywatch (%s-1) unstable; urgency=medium\n\n", r.number)
	fmt.Fprintf(&b, "  * Release %s; changelog.gz says what is new.\n\n", r.number)
	fmt.Fprintf(&b, " -- %s  %s\n", r.Maintainer, r.time.Format(time.RFC1123Z))
	debian, upstream = filepath.Join(r.work, "changelog.Debian.gz"), filepath.Join(r.work, "changelog.gz")
	data, err := compressed(b.Bytes())
	if err != nil {
		return "", "", err
	}
	if err := os.WriteFile(debian, data, 0o644); err != nil {
		return "", "", err
	}
	return debian, upstream, compressFile(filepath.Join(r.Root, "CHANGELOG.md"), upstream)
}
