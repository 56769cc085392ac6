package main

// benchAll is the benchmarks. Requests is meant where none is named.
type benchAll struct {
	Requests benchCmd  `cmd:"" default:"withargs" help:"Requests as fast as they are answered; meant where no other benchmark is named."`
	Fanout   fanoutCmd `cmd:"" help:"Watchers, and what reaches them."`
}

// Help is printed by keywatch bench --help.
func (*benchAll) Help() string {
	return `
Benchmarks write real keys, which stay: use a server made for it, or delete
bench/ after.

Examples:

    keywatch bench put --conns=64 --seconds=30
    keywatch bench fanout --watchers=5000 --rate=20
`
}
