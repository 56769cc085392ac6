package object_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"keywatch/persist/object"
)

func openDir(t *testing.T) object.Store {
	s, err := object.Open("dir://"+t.TempDir(), object.Options{})
	must(t, err)
	return s
}

// If a folder did not behave like a bucket, moving from one to the other would.
func TestDir(t *testing.T) { runSuite(t, openDir) }

// If a name could leave the folder, a damaged reference could read any file.
func TestDirStaysInside(t *testing.T) {
	s := openDir(t)
	for _, name := range []string{"../x", "/etc/passwd", "a/../../x", "", ".partial/x", "a/"} {
		if err := s.Put(t.Context(), name, []byte("b")); err == nil {
			t.Errorf("put %q succeeded", name)
		}
		if _, err := s.GetRange(t.Context(), name, 0, 1); err == nil {
			t.Errorf("get %q succeeded", name)
		}
	}
}

// If a folder that is not mounted counted as lost segments, an operator would
// restore a backup over data that is still there.
func TestDirNotMounted(t *testing.T) {
	root := t.TempDir()
	s, err := object.OpenDir(root)
	must(t, err)
	must(t, s.Put(t.Context(), "a/b", []byte("b")))
	must(t, os.Rename(root, root+"-gone"))
	if _, err := s.GetRange(t.Context(), "a/b", 0, 1); !errors.Is(err, object.ErrUnavailable) || errors.Is(err, object.ErrNotFound) {
		t.Errorf("get: %v", err)
	}
	if err := s.Put(t.Context(), "a/c", []byte("b")); !errors.Is(err, object.ErrUnavailable) {
		t.Errorf("put: %v", err)
	}
	must(t, os.Rename(root+"-gone", root))
	if _, err := s.GetRange(t.Context(), "a/b", 0, 1); err != nil {
		t.Errorf("get after it came back: %v", err)
	}
}

// If what a crash left half written were kept, or seen, the folder would fill, or
// a sweep would meet it.
func TestDirForgetsUnfinished(t *testing.T) {
	root := t.TempDir()
	s, err := object.OpenDir(root)
	must(t, err)
	must(t, object.Make(s))
	old, young := filepath.Join(root, ".partial", "put-1"), filepath.Join(root, ".partial", "put-2")
	for _, f := range []string{old, young} {
		must(t, os.WriteFile(f, []byte("half"), 0o600))
	}
	past := time.Now().Add(-2 * time.Hour)
	must(t, os.Chtimes(old, past, past))
	s, err = object.OpenDir(root)
	must(t, err)
	if _, err := os.Stat(old); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the old one is still there: %v", err)
	}
	if _, err := os.Stat(young); err != nil {
		t.Errorf("another process's file under way: %v", err)
	}
	for info, err := range s.List(t.Context(), "") {
		t.Errorf("listed %v, %v", info, err)
	}
}

// If a bad URL were taken for something else, values would go to the wrong place;
// if credentials in it were accepted, they would end up in logs.
func TestOpenRefusesBadURLs(t *testing.T) {
	for _, bad := range []string{
		"", "/tmp/x", "dir://x/y", "dir://", "dir:///x?y=1", "dir:x", "gs://b", "s3://", "s3:///p", "s3://k:secret@b",
		"s3://b?endpoint=ftp://x", "s3://b?other=1", "s3://b?endpoint=http://u:secret@h", "s3://b?region=a&region=b",
		"s3://b?endpoint=http://h/path", "s3://b#f", "://", "s3://bucket:80/p", "s3://b", "s3://192.168.1.1/p", "s3://bucket?endpoint=http%3A%2F%2F",
		"s3://bucket?region=%zz",
	} {
		_, err := object.Open(bad, object.Options{})
		if !errors.Is(err, object.ErrBadURL) {
			t.Errorf("%q: %v", bad, err)
		} else if got := err.Error(); containsSecret(got) {
			t.Errorf("%q: the error shows the password: %s", bad, got)
		}
	}
}
