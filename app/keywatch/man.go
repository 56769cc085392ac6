package main

import (
	"fmt"
	"strings"

	"github.com/alecthomas/kong"
)

// manCmd prints the manual page.
type manCmd struct{}

// Help is printed by keywatch man --help.
func (*manCmd) Help() string {
	return `
The page is made of the help of all commands. Packages install it.

Examples:

    keywatch man >keywatch.1
    man -l keywatch.1
`
}

// Run prints the page.
func (*manCmd) Run(s *session) error {
	page := &manual{}
	page.write(s.kong.Model)
	return s.printf("%s", page.String())
}

// A manual is a manual page in the language of man(7).
type manual struct{ strings.Builder }

func (m *manual) write(app *kong.Application) {
	m.line(`.TH KEYWATCH 1 "" "keywatch %s" "User Commands"`, roff(version()))
	m.line(".nh\n.ad l\n.SH NAME\nkeywatch \\- stores keys, swaps them and tells those who watch")
	m.line(".SH SYNOPSIS\n.B keywatch\n.I command\n[\\fIflags\\fR]")
	m.line(".SH DESCRIPTION")
	m.prose(app.Help)
	m.line(".SH GLOBAL FLAGS\nThese and those of\n.B serve\nare also read from the environment: KEYWATCH_ and the name in capitals, such as KEYWATCH_SERVER.")
	m.flags(app.Flags)
	m.line(".SH COMMANDS")
	for _, n := range app.Children {
		m.command(n)
	}
}

// command writes a command and those below it.
func (m *manual) command(n *kong.Node) {
	if n.Hidden {
		return
	}
	m.line(".SS %s", roff(strings.TrimSuffix(n.Summary(), " [flags]")))
	m.prose(n.Help + "\n\n" + n.Detail)
	m.flags(n.Flags)
	for _, below := range n.Children {
		m.command(below)
	}
}

func (m *manual) flags(flags []*kong.Flag) {
	for _, f := range flags {
		if f.Hidden || f.Name == "help" {
			continue
		}
		name := `\fB` + roff("--"+f.Name) + `\fR`
		if f.Short != 0 {
			name = `\fB` + roff("-"+string(f.Short)) + `\fR, ` + name
		}
		if !f.IsBool() {
			name += `=\fI` + roff(f.FormatPlaceHolder()) + `\fR`
		}
		m.line(".TP\n%s\n%s", name, roff(f.Help))
	}
}

// prose writes paragraphs; those that are indented stay as they are.
func (m *manual) prose(text string) {
	indented := false
	for line := range strings.Lines(strings.TrimSpace(text) + "\n") {
		line = strings.TrimSuffix(line, "\n")
		if line == "" {
			m.endBlock(&indented)
			m.line(".PP")
			continue
		}
		if rest, ok := strings.CutPrefix(line, "    "); ok {
			if !indented {
				m.line(".RS 4\n.nf")
			}
			indented, line = true, rest
		} else {
			m.endBlock(&indented)
		}
		m.line("%s", roff(line))
	}
	m.endBlock(&indented)
}

func (m *manual) endBlock(open *bool) {
	if *open {
		m.line(".fi\n.RE")
	}
	*open = false
}

func (m *manual) line(format string, args ...any) { fmt.Fprintf(m, format+"\n", args...) }

// roff quotes text, so that it is shown as it is.
func roff(text string) string {
	text = strings.NewReplacer(`\`, `\e`, "-", `\-`).Replace(text)
	if strings.HasPrefix(text, ".") || strings.HasPrefix(text, "'") {
		text = `\&` + text
	}
	return text
}
