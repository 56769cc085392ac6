package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"

	kw "keywatch/client"
)

// statusCmd prints the server's status.
type statusCmd struct{}

// Help is printed by keywatch status --help.
func (*statusCmd) Help() string {
	return `
Prints what the server says of itself, with units and in sections. Sizes count
1024 bytes as 1 KiB. -o json has the exact numbers under the server's names.

Examples:

    keywatch status
    keywatch status -o json | jq .position
    keywatch status --server=http://10.0.0.5:7070
`
}

// Run prints what the server answers, in its order.
func (*statusCmd) Run(s *session) error {
	got, err := s.kw.Do(s.ctx, &kw.Request{Path: "/v1/status"})
	if err != nil {
		return err
	}
	if s.json() {
		return s.printJSON(got.Body)
	}
	d := json.NewDecoder(bytes.NewReader(got.Body))
	d.UseNumber()
	root, err := readField(d, "")
	if err != nil {
		return fmt.Errorf("cannot read the answer: %w: %w", kw.ErrNotKeywatch, err)
	}
	table := tabwriter.NewWriter(s.stdout, 0, 0, 2, ' ', 0)
	root.print(table, "")
	return table.Flush()
}

// statusField is one field of the status: text, or further fields.
type statusField struct {
	name   string
	text   string
	fields []statusField // of an object, or the objects of a list
	list   bool          // fields are those of a list
}

// readField reads the next JSON value. It reads tokens, because a map would lose
// the order.
func readField(d *json.Decoder, name string) (statusField, error) {
	f := statusField{name: name}
	token, err := d.Token()
	if err != nil {
		return f, err
	}
	delim, ok := token.(json.Delim)
	if !ok {
		f.text = plainText(token)
		return f, nil
	}
	var list []string
	objects := false
	for d.More() {
		var field string
		if delim == '{' {
			token, err := d.Token()
			if err != nil {
				return f, err
			}
			field, _ = token.(string) // a name in an object always is one
		}
		below, err := readField(d, field)
		if err != nil {
			return f, err
		}
		f.fields, list = append(f.fields, below), append(list, below.text)
		objects = objects || below.fields != nil
	}
	if f.list = delim == '[' && objects; delim == '[' && !objects {
		f.fields, f.text = nil, strings.Join(list, ", ")
	}
	_, err = d.Token() // the closing bracket
	return f, err
}

// has reports whether there is a field with that name. A figure that the server tells with
// and without its unit is shown once.
func (f *statusField) has(name string) bool {
	return slices.ContainsFunc(f.fields, func(below statusField) bool { return below.name == name })
}

// print prints the fields that are text, and then each object as a section.
// Everything that is aligned in one section is one cell block.
func (f *statusField) print(table *tabwriter.Writer, section string) {
	for _, below := range f.fields {
		if below.fields == nil && !f.has(below.name+"_bytes") {
			name, text := quantity(section, below.name, below.text)
			fmt.Fprintf(table, "%s\t%s\n", name, text)
		}
	}
	for _, below := range f.fields {
		switch {
		case below.fields == nil:
		case below.name == "detail":
			below.print(table, section)
		case below.list: // a section for each
			for _, one := range below.fields {
				one.name = below.name
				one.printSection(table, section)
			}
		default:
			below.printSection(table, section)
		}
	}
}

// printSection prints an object under a title of its own.
func (f *statusField) printSection(table *tabwriter.Writer, section string) {
	title := strings.TrimSpace(section + " " + strings.ReplaceAll(f.name, "_", " "))
	fmt.Fprintf(table, "\n%s\n", strings.ToUpper(title))
	f.print(table, title)
}
