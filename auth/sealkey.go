package auth

import (
	"bytes"
	"context"
	"crypto/cipher"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"keywatch/kv"
)

// commandLimit bounds how long a command that wraps may run.
const commandLimit = 10 * time.Second

// ErrNoSealKey is returned when there is no sealing key where it is expected.
var ErrNoSealKey = errors.New("there is no sealing key")

// A keyWrapper wraps with sealing keys that the process holds: it wraps with the first, and
// unwraps with any.
type keyWrapper []cipher.AEAD

// Wrap implements Wrapper.
func (w keyWrapper) Wrap(name string, key []byte) ([]byte, error) {
	return sealWith(w[0], nil, name, key), nil
}

// Unwrap implements Wrapper.
func (w keyWrapper) Unwrap(name string, wrapped []byte) (key []byte, err error) {
	for _, gcm := range w {
		if key, err = openWith(gcm, name, wrapped); err == nil {
			return key, nil
		}
	}
	return nil, err
}

// sealKeysMax bounds the sealing keys of one file.
const sealKeysMax = 16

// WrapperOf returns a Wrapper with the sealing keys that text says: one a line, each base64 of 32
// bytes, as NewSealKey returns it. The first wraps, the others only unwrap: so one key can take the
// place of another.
func WrapperOf(text string) (Wrapper, error) {
	var w keyWrapper
	for line := range strings.FieldsSeq(text) {
		key, err := base64.StdEncoding.DecodeString(line)
		if err != nil || len(key) != KeySize {
			return nil, fmt.Errorf("a sealing key must be %d bytes in base64", KeySize)
		}
		gcm, err := newGCM(key)
		if err != nil {
			return nil, err
		}
		w = append(w, gcm)
	}
	if len(w) == 0 || len(w) > sealKeysMax {
		return nil, fmt.Errorf("expected 1 to %d sealing keys, got %d", sealKeysMax, len(w))
	}
	return w, nil
}

// Opens returns nil if w opens the data keys among records, of which there may be none.
func Opens(w Wrapper, records iter.Seq[kv.PrivateRecord]) error {
	for r := range records {
		if kind, _ := cutRecord(r.Name); kind != kindDataK {
			continue
		}
		if _, err := w.Unwrap(r.Name, r.Value); err != nil {
			return err
		}
	}
	return nil
}

// NewSealKey draws the text of a sealing key.
func NewSealKey() string { return base64.StdEncoding.EncodeToString(NewDataKey()) }

// WrapperFromFile returns a Wrapper with the sealing key in a file. It fails with an error that
// matches ErrNoSealKey if there is no file, and if others may read it, see OwnerOnly.
func WrapperFromFile(path string) (Wrapper, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: file %s does not exist", ErrNoSealKey, path)
	}
	if err != nil {
		return nil, fmt.Errorf("read sealing key: %w", err)
	}
	if !OwnerOnly(info) {
		return nil, fmt.Errorf("read sealing key: others may read %s: change its mode to 0600", path)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read sealing key: %w", err)
	}
	w, err := WrapperOf(string(b))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return w, nil
}

// MakeSealKey makes a file with a new sealing key, durably, that only its owner may read. It fails
// if the file is there.
func MakeSealKey(path string) error { return WriteSecret(path, NewSealKey()+"\n") }

// WriteSecret makes a file that only its owner may read, durably. It fails if the file is there.
func WriteSecret(path, text string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, os.Remove(path))
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// A commandWrapper has a command wrap: it is called with the argument wrap or unwrap and the name
// of the record, gets base64 on its standard input, and must write base64.
type commandWrapper struct{ path string }

// WrapperFromCommand returns a Wrapper that calls a command, for a key that is held elsewhere. The
// command gets 10 seconds.
func WrapperFromCommand(path string) Wrapper { return commandWrapper{path} }

// Wrap implements Wrapper.
func (w commandWrapper) Wrap(name string, key []byte) ([]byte, error) {
	return w.run("wrap", name, key)
}

// Unwrap implements Wrapper.
func (w commandWrapper) Unwrap(name string, wrapped []byte) ([]byte, error) {
	return w.run("unwrap", name, wrapped)
}

func (w commandWrapper) run(what, name string, in []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), commandLimit)
	defer cancel()
	var out, said bytes.Buffer
	c := exec.CommandContext(ctx, w.path, what, name)
	c.WaitDelay = time.Second
	c.Stdin = strings.NewReader(base64.StdEncoding.EncodeToString(in) + "\n")
	c.Stdout, c.Stderr = &out, &said
	if err := c.Run(); err != nil {
		return nil, fmt.Errorf("%w: %s %s: %w: %.200s", ErrSealed, w.path, what, err, bytes.TrimSpace(said.Bytes()))
	}
	b, err := base64.StdEncoding.DecodeString(strings.TrimSpace(out.String()))
	if err != nil || len(b) == 0 || what == "unwrap" && len(b) != KeySize {
		return nil, fmt.Errorf("%w: %s %s wrote something else than base64 of a key", ErrSealed, w.path, what)
	}
	return b, nil
}
