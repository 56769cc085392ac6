package main

import (
	"encoding/json"
	"strings"
	"testing"
	"text/tabwriter"
)

// If a list of objects were printed as one empty line, an operator would not see what the
// server is busy with; a figure that has two names would be read twice.
func TestStatusShowsLists(t *testing.T) {
	const status = `{"version":"1","peers":["a","b"],"none":[],
		"detail":{"background":[{"work":"sweep","age_ms":1500,"done":7},{"work":"move","age_ms":10,"done":1}],"log":{"segments":2},"memory":{"used_bytes":2048,"used":2048,"waited":3,"values":1024}}}`
	d := json.NewDecoder(strings.NewReader(status))
	d.UseNumber()
	root, err := readField(d, "")
	if err != nil {
		t.Fatal(err)
	}
	var got strings.Builder
	table := tabwriter.NewWriter(&got, 0, 0, 2, ' ', 0)
	root.print(table, "")
	if err := table.Flush(); err != nil {
		t.Fatal(err)
	}
	want := `version  1
peers    a, b
none     

BACKGROUND
work  sweep
age   1.5s
done  7

BACKGROUND
work  move
age   10ms
done  1

LOG
segments  2

MEMORY
used    2.0 KiB
waited  3
values  1.0 KiB
`
	if got.String() != want {
		t.Errorf("got\n%s\nwant\n%s", got.String(), want)
	}
}
