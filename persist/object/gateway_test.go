package object_test

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"testing"

	"keywatch/persist/object"
	"keywatch/persist/object/objecttest"
)

// If a real S3 server differed from the one in this process, only customers would
// notice.
func TestS3Gateway(t *testing.T) {
	setCredentials(t)
	root, addr := objecttest.Gateway(t)
	n := 0
	runSuite(t, func(t *testing.T) object.Store {
		n++
		bucket := fmt.Sprintf("bucket-%d", n)
		must(t, os.Mkdir(filepath.Join(root, bucket), 0o755))
		return open(t, "s3://"+bucket+"/some/prefix?endpoint="+url.QueryEscape("http://"+addr), object.Options{})
	})
}
