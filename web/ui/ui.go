// Package ui holds what browsers get: the dashboard, and the client module
// keywatch.js with its types. All of it is in the binary; nothing is built and
// nothing comes from elsewhere.
//
// keywatch.js is one module to import, and several files to read: the parts in
// client are joined in order. What is served is what was written; each file is
// compressed once.
package ui

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"io/fs"
	"path"
	"strings"
	"sync"
)

//go:embed static
var static embed.FS

//go:embed client
var client embed.FS

// clientParts are the parts of keywatch.js, from the wire inwards.
var clientParts = []string{"base", "credential", "sse", "socket", "stream", "hub", "tabs", "watch", "mirror", "places", "keywatch"}

// A File is what is served under one path. It is immutable.
type File struct {
	// Type is the content type.
	Type string
	// ETag is a strong entity tag of Body with its quotes; it follows from Body alone.
	ETag string
	// Body and Gzip, which is Body compressed, belong to the package.
	Body, Gzip []byte
	// GzipETag is the tag of Gzip.
	GzipETag string
}

var types = map[string]string{
	".css":  "text/css; charset=utf-8",
	".html": "text/html; charset=utf-8",
	".js":   "text/javascript; charset=utf-8",
	".svg":  "image/svg+xml",
	".ts":   "text/plain; charset=utf-8",
}

// Lookup returns the file that is served under an undecoded path: "/", the
// dashboard; "/keywatch.js" and "/keywatch.d.ts"; and the dashboard's own
// files under "/ui/". Every call gives the same file for the same path.
func Lookup(path string) (File, bool) {
	f, ok := files()[path]
	return f, ok
}

// Paths returns the paths that Lookup knows, in no order.
func Paths() []string {
	var all []string
	for p := range files() {
		all = append(all, p)
	}
	return all
}

var files = sync.OnceValue(func() map[string]File {
	all := map[string]File{"/keywatch.js": newFile("keywatch.js", joinClient())}
	err := fs.WalkDir(static, "static", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		body, err := static.ReadFile(name)
		if err != nil {
			return err
		}
		all[servedAt(strings.TrimPrefix(name, "static/"))] = newFile(name, body)
		return nil
	})
	if err != nil {
		panic(err) // files in the binary are always there
	}
	return all
})

// servedAt returns the path of a static file.
func servedAt(name string) string {
	switch name {
	case "index.html":
		return "/"
	case "keywatch.d.ts":
		return "/keywatch.d.ts"
	}
	return "/ui/" + name
}

func newFile(name string, body []byte) File {
	sum := sha256.Sum256(body)
	tag := hex.EncodeToString(sum[:12])
	return File{
		Type: types[path.Ext(name)], Body: body, Gzip: compress(body),
		ETag: `"` + tag + `"`, GzipETag: `"` + tag + `-gzip"`,
	}
}

func compress(body []byte) []byte {
	var b bytes.Buffer
	w, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err == nil {
		_, err = w.Write(body)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		panic(err) // a buffer takes everything
	}
	return b.Bytes()
}

func joinClient() []byte {
	var all []byte
	for i, part := range clientParts {
		body, err := client.ReadFile("client/" + part + ".js")
		if err != nil {
			panic(err)
		}
		if i > 0 {
			all = append(all, '\n')
		}
		all = append(all, body...)
	}
	return all
}
