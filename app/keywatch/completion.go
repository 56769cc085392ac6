package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

// completionCmd prints a completion script.
type completionCmd struct {
	Shell string `arg:"" enum:"bash,zsh,fish" help:"bash, zsh or fish."`
}

// Help is printed by keywatch completion --help.
func (*completionCmd) Help() string {
	return `
Examples:

    source <(keywatch completion bash)
    source <(keywatch completion zsh)
    keywatch completion fish > ~/.config/fish/completions/keywatch.fish
`
}

// word is a command or flag that can be completed.
type word struct{ name, help string }

// Run prints the script.
func (c *completionCmd) Run(s *session) error {
	app := s.kong.Model.Node
	var b strings.Builder
	switch c.Shell {
	case "bash":
		bashCompletion(&b, app)
	case "zsh":
		zshCompletion(&b, app)
	case "fish":
		fishCompletion(&b, app)
	}
	return s.printf("%s", b.String())
}

// commands returns the commands of app, aliases not included.
func commands(app *kong.Node) (words []word) {
	for _, n := range app.Children {
		words = append(words, word{n.Name, n.Help})
	}
	return words
}

// flags returns the flags of one node and of those below it, with their dashes.
func flags(n *kong.Node) (words []word) {
	for _, below := range n.Children {
		if n.Type != kong.ApplicationNode {
			words = append(words, flags(below)...)
		}
	}
	for _, f := range n.Flags {
		words = append(words, word{"--" + f.Name, f.Help})
	}
	if n.DefaultCmd != nil {
		words = append(words, flags(n.DefaultCmd)...)
	}
	return words
}

// choices returns what a command's argument can be, where that is a list, or
// the commands below it.
func choices(n *kong.Node) (words []word) {
	words = commands(n)
	for _, p := range n.Positional {
		if p.Enum != "" {
			for _, v := range p.EnumSlice() {
				words = append(words, word{name: v})
			}
		}
	}
	if n.DefaultCmd != nil {
		words = append(words, commands(n)...)
		words = append(words, choices(n.DefaultCmd)...)
	}
	return words
}

// names returns the names of all words, each once.
func names(lists ...[]word) string {
	var out []string
	for _, list := range lists {
		for _, w := range list {
			if !slices.Contains(out, w.name) {
				out = append(out, w.name)
			}
		}
	}
	return strings.Join(out, " ")
}

// patterns returns what a case in a shell matches a command by.
func patterns(n *kong.Node) string {
	return strings.Join(append([]string{n.Name}, n.Aliases...), "|")
}

func bashCompletion(b *strings.Builder, app *kong.Node) {
	fmt.Fprintf(b, "# bash completion for keywatch\n_keywatch() {\n")
	fmt.Fprintf(b, "    local cur=${COMP_WORDS[COMP_CWORD]} words command i\n")
	fmt.Fprintf(b, "    for ((i = 1; i < COMP_CWORD; i++)); do\n")
	fmt.Fprintf(b, "        case ${COMP_WORDS[i]} in -*) ;; *) command=${COMP_WORDS[i]}; break ;; esac\n    done\n")
	fmt.Fprintf(b, "    case $command in\n    '') words='%s' ;;\n", names(commands(app), flags(app)))
	for _, n := range app.Children {
		fmt.Fprintf(b, "    %s) words='%s' ;;\n", patterns(n), names(choices(n), flags(n), flags(app)))
	}
	fmt.Fprintf(b, "    esac\n    COMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n}\n")
	fmt.Fprintf(b, "complete -o default -F _keywatch keywatch\n")
}

func zshCompletion(b *strings.Builder, app *kong.Node) {
	fmt.Fprintf(b, "#compdef keywatch\n_keywatch() {\n    local command i\n")
	fmt.Fprintf(b, "    for ((i = 2; i < CURRENT; i++)); do\n")
	fmt.Fprintf(b, "        case $words[i] in -*) ;; *) command=$words[i]; break ;; esac\n    done\n")
	fmt.Fprintf(b, "    case $command in\n    '') compadd -- %s ;;\n", names(commands(app), flags(app)))
	for _, n := range app.Children {
		fmt.Fprintf(b, "    %s) compadd -- %s; _files ;;\n", patterns(n), names(choices(n), flags(n), flags(app)))
	}
	// The file may be sourced, or be loaded from fpath as the function itself.
	fmt.Fprintf(b, "    esac\n}\nif [[ $funcstack[1] == _keywatch ]]; then _keywatch \"$@\"; else compdef _keywatch keywatch; fi\n")
}

func fishCompletion(b *strings.Builder, app *kong.Node) {
	fmt.Fprintf(b, "# fish completion for keywatch\n")
	for _, w := range commands(app) {
		fmt.Fprintf(b, "complete -c keywatch -n __fish_use_subcommand -f -a %s -d %s\n", w.name, quoted(w.help))
	}
	for _, f := range flags(app) {
		fmt.Fprintf(b, "complete -c keywatch -l %s -d %s\n", f.name[2:], quoted(f.help))
	}
	for _, n := range app.Children {
		seen := "'__fish_seen_subcommand_from " + strings.ReplaceAll(patterns(n), "|", " ") + "'"
		for _, w := range choices(n) {
			fmt.Fprintf(b, "complete -c keywatch -n %s -f -a %s -d %s\n", seen, w.name, quoted(w.help))
		}
		for _, f := range flags(n) {
			fmt.Fprintf(b, "complete -c keywatch -n %s -l %s -d %s\n", seen, f.name[2:], quoted(f.help))
		}
	}
}

// quoted quotes text for a shell.
func quoted(text string) string {
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}
