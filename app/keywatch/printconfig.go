package main

import (
	"fmt"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/alecthomas/kong"
)

// printConfig prints the configuration that serve would have as a file that --config reads:
// every flag under its group and with its help, those that have their default as comments, and those whose
// values are secret.
func (c *serveCmd) printConfig(s *session) error {
	serve := s.serveNode()
	given := make(map[string]bool)
	for _, flag := range serve.Flags {
		given[flag.Name] = !isDefault(flag)
	}
	c.ServeConfig = c.Effective()
	var b strings.Builder
	b.WriteString("# keywatch serve --config=FILE reads this. What is commented out is the default.\n")
	group := ""
	for _, flag := range serve.Flags {
		if slices.Contains(notInFile, flag.Name) {
			continue
		}
		if flag.Group != nil && flag.Group.Title != group {
			group = flag.Group.Title
			fmt.Fprintf(&b, "\n# %s\n", group)
		}
		line := tomlLine(flag)
		if !given[flag.Name] || isSecret(flag) {
			line = "# " + line
		}
		fmt.Fprintf(&b, "\n# %s\n%s\n", flag.OrigHelp, line)
	}
	return s.printf("%s", b.String())
}

// serveNode returns the command serve as it was parsed.
func (s *session) serveNode() *kong.Node {
	i := slices.IndexFunc(s.kong.Model.Children, func(n *kong.Node) bool { return n.Name == "serve" })
	return s.kong.Model.Children[i]
}

// isDefault reports whether a flag has the value that it has without being set.
func isDefault(flag *kong.Flag) bool {
	if !flag.HasDefault {
		return flag.Target.IsZero()
	}
	before := reflect.New(flag.Target.Type()).Elem()
	scan := kong.Scan(flag.Default)
	if err := flag.Parse(scan, before); err != nil {
		return false
	}
	return reflect.DeepEqual(before.Interface(), flag.Target.Interface())
}

// isSecret reports whether a flag has a value that must not be shown: all of it, or the password of a
// URL. The fields of such flags have the tag secret.
func isSecret(flag *kong.Flag) bool {
	switch flag.Tag.Get("secret") {
	case "text": // a string, or several
		return flag.Target.Len() > 0
	case "url":
		u, err := url.Parse(flag.Target.String())
		return err != nil || u.User != nil || u.RawQuery != ""
	}
	return false
}

// hiddenValue takes the place of a secret that is set.
const hiddenValue = "set, and not shown"

// tomlLine returns a flag and its value as a line of TOML. A secret is not shown.
func tomlLine(flag *kong.Flag) string {
	if isSecret(flag) {
		return flag.Name + " = " + strconv.Quote(hiddenValue)
	}
	var text string
	switch v := flag.Target.Interface().(type) {
	case fmt.Stringer: // a duration, a size, a level
		text = strconv.Quote(v.String())
	case string:
		text = strconv.Quote(v)
	case []string:
		quoted := make([]string, len(v))
		for i := range v {
			quoted[i] = strconv.Quote(v[i])
		}
		text = "[" + strings.Join(quoted, ", ") + "]"
	default:
		text = fmt.Sprint(v)
	}
	return flag.Name + " = " + text
}
