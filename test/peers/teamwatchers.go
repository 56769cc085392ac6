package main

import (
	"fmt"
	"os"
	"text/tabwriter"
)

// compareWatched prints what writers wait for in a cluster whose followers have watchers.
func compareWatched(c config) error {
	return withTeam(c, (*team).besideWatchers)
}

// besideWatchers prints how long writers wait at the leader while two followers have many watchers each.
func (t *team) besideWatchers(c config, dir string) error {
	w := tabwriter.NewWriter(os.Stdout, 0, 4, 2, ' ', 0)
	b := &company{
		title: "3 servers, 10,000 watchers on each of two followers", aim: "1.2",
		url: func() string { return t.leader().url },
		watched: func() (crowds []*crowd, err error) {
			for _, m := range t.others(t.leader()) {
				w, err := newCrowd(c, m.cmd.Process.Pid, "--server", m.url)
				if err != nil {
					return crowds, fmt.Errorf("watchers of %s: %w", m.name, err)
				}
				crowds = append(crowds, w)
			}
			return crowds, nil
		},
		floor: func() (crowds []*crowd, err error) {
			for range teamSize - 1 {
				w, err := floorCrowd(c, dir)
				if err != nil {
					return crowds, err
				}
				crowds = append(crowds, w)
			}
			return crowds, nil
		},
	}
	if err := b.compare(c, w); err != nil {
		return err
	}
	return w.Flush()
}
