package main

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
	"github.com/pelletier/go-toml/v2"

	"keywatch/web/api"
)

// A configFile gives the flags of serve their values, where neither the command line nor the
// environment does. It implements kong.Resolver and is read at the first flag of serve.
type configFile struct {
	args []string
	read bool
	// values are those of the file, by flag, as the command line would have them.
	values map[string]string
}

// notInFile are flags of serve that are about the file.
var notInFile = []string{"config", "print-config", "help"}

// Validate implements kong.Resolver.
func (f *configFile) Validate(*kong.Application) error { return nil }

// Resolve implements kong.Resolver.
func (f *configFile) Resolve(_ *kong.Context, parent *kong.Path, flag *kong.Flag) (any, error) {
	if parent.Command == nil || parent.Command.Name != "serve" || slices.Contains(notInFile, flag.Name) {
		return nil, nil
	}
	if !f.read {
		f.read = true
		var err error
		if f.values, err = readConfig(asked(f.args, "KEYWATCH_CONFIG", "--config"), fileFlags(parent.Command)); err != nil {
			return nil, &configError{err}
		}
	}
	value, ok := f.values[flag.Name]
	if !ok || slices.ContainsFunc(flag.Envs, func(name string) bool { return os.Getenv(name) != "" }) {
		return nil, nil
	}
	return value, nil
}

// A configError is a fault of the file itself, and not of one of its values.
type configError struct{ err error }

func (e *configError) Error() string { return e.err.Error() }

// fileFlags returns the names that a file may have.
func fileFlags(serve *kong.Command) (names []string) {
	for _, flag := range serve.Flags {
		if !slices.Contains(notInFile, flag.Name) {
			names = append(names, flag.Name)
		}
	}
	return names
}

// readConfig reads the TOML file at path, whose keys must be among known. No path is an empty
// file. It fails with what is wrong and the line.
func readConfig(path string, known []string) (map[string]string, error) {
	if path == "" {
		return nil, nil
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var found map[string]any
	if err := toml.Unmarshal(text, &found); err != nil {
		var bad *toml.DecodeError
		if errors.As(err, &bad) {
			row, column := bad.Position()
			return nil, fmt.Errorf("%s:%d:%d: %w", path, row, column, err)
		}
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	values := make(map[string]string, len(found))
	for key, value := range found {
		if !slices.Contains(known, key) {
			return nil, fmt.Errorf("%s:%d: unknown key %q%s", path, lineOf(string(text), key), key, api.DidYouMean(key, known))
		}
		if values[key], err = flagText(value); err != nil {
			return nil, fmt.Errorf("%s:%d: %s: %w", path, lineOf(string(text), key), key, err)
		}
	}
	return values, nil
}

// lineOf returns the line of text that sets key, or begins a table of that name.
func lineOf(text, key string) int {
	for i, line := range strings.Split(text, "\n") {
		name, _, _ := strings.Cut(line, "=")
		if strings.Trim(strings.TrimSpace(name), `"'[]`) == key {
			return i + 1
		}
		if name, _, dotted := strings.Cut(strings.Trim(strings.TrimSpace(name), `[]`), "."); dotted && name == key {
			return i + 1
		}
	}
	return 1
}

// flagText returns a value as the command line has it.
func flagText(value any) (string, error) {
	switch v := value.(type) {
	case string, bool, int64, float64:
		return fmt.Sprint(v), nil
	case []any:
		var list []string
		for _, one := range v {
			text, ok := one.(string)
			if !ok {
				return "", fmt.Errorf("expected a list of strings, got an element of type %T", one)
			}
			list = append(list, strings.ReplaceAll(text, ",", `\,`))
		}
		return strings.Join(list, ","), nil
	}
	return "", fmt.Errorf("expected a string, a number, true, false or a list of strings, got a %T", value)
}
