package main

import (
	"log/slog"
	"strings"

	"keywatch/app"
)

// clusterRecoverCmd makes a new cluster of what one member has.
type clusterRecoverCmd struct {
	Data string `help:"Data folder of the member, which must be stopped." required:"" placeholder:"DIR"`
}

// Help is printed by keywatch cluster recover --help.
func (*clusterRecoverCmd) Help() string {
	return `
The last resort: while a majority of the voters can be started again, start it instead.
A majority that runs elsewhere and is only not reached would be another cluster after this.

Stop all members. Of those that are left choose the one that has most: compare the last
entry of the log, its term first, with keywatch inspect DIR. Make a copy of its folder.
Everything in its log counts. What was acknowledged and is not in it is lost.

The folder becomes that of a new cluster with this server as the only voter: a new id, so
that the servers of the old cluster are refused, and a new epoch, so that no position, etag
or fencing token of before means something else. Start it with the flags that it had.
Then start the others with empty data folders and --join.

A recovery that was cut short is continued by the same command; no server starts in the
folder before.

Examples:

    keywatch inspect /var/lib/keywatch
    keywatch cluster recover --data=/var/lib/keywatch
`
}

// Run recovers.
func (c *clusterRecoverCmd) Run(s *session) error {
	if c.Data == "" {
		return usagef("--data is empty")
	}
	logger := slog.New(slog.NewTextHandler(s.stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	done, err := app.RecoverCluster(c.Data, app.RecoverOptions{Release: version(), Logger: logger})
	if err != nil {
		return err
	}
	if s.json() {
		return s.printValue(done)
	}
	if done.Open > 0 {
		s.message("%d log entries were not known to be committed; they count now", done.Open)
	}
	s.message("what was acknowledged and had not reached this server is lost")
	if len(done.Lost) > 0 {
		s.message("members of the old cluster: %s; give each an empty data folder and --join", strings.Join(done.Lost, ", "))
	}
	return s.printf("recovered %s as cluster %s (before: %s), with the log up to entry %d of term %d; start server %s on it\n",
		c.Data, done.Cluster, done.Before, done.Index, done.Term, done.Name)
}
