package app

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

	"keywatch/cluster"
	"keywatch/persist"
	"keywatch/persist/disk"
)

// RecoverOptions configure RecoverCluster. The zero value is the default.
type RecoverOptions struct {
	// Release is the version of this program, for the store file. It may be empty.
	Release string
	// Logger gets rare events; nil discards them.
	Logger *slog.Logger
}

// A Recovery is what RecoverCluster has made.
type Recovery struct {
	// Name is the server's, Cluster the id of the new cluster, Before that of the one before.
	Name    string `json:"name"`
	Cluster string `json:"cluster"`
	Before  string `json:"cluster_before"`
	// Position is where the new history begins.
	Position string `json:"position"`
	// Index and Term are those of the newest entry that the log of this server had.
	Index uint64 `json:"index"`
	Term  uint64 `json:"term"`
	// Open is how many entries were not known to be committed: they count.
	Open uint64 `json:"not_known_committed"`
	// Lost are the names of the servers that were members, but for this one.
	Lost []string `json:"lost"`
}

// errRecovering is why a server does not start in a folder in which a recovery was cut short.
func errRecovering(dir string) error {
	return fmt.Errorf("%s: a recovery in this folder was cut short: run keywatch cluster recover --data %[1]s again", dir)
}

// RecoverCluster makes the folder of a stopped member that of a new cluster with this server as its only
// voter, for where most voters are gone for good. Everything in its log counts. What was acknowledged and
// did not reach this server is lost. The store begins a new epoch, and servers of the cluster before are refused
// by the new one. The server starts with the flags that it had.
//
// A recovery that was cut short is continued by another call; no server starts in the folder before. It fails
// with *disk.LockedError where a server runs, and as persist.Recover does.
func RecoverCluster(dir string, o RecoverOptions) (done Recovery, err error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	n, err := survivor(dir)
	if err != nil {
		return done, err
	}
	next := n
	if n.State != recoveringNode {
		next = newNode(n.Name)
		next.State, next.Cluster, next.Founder, next.Before = recoveringNode, disk.NewStoreID(), true, n.Cluster
	}
	found, err := persist.Recover(dir, persist.RecoverOptions{
		Store: next.Cluster, Release: o.Release, Logger: o.Logger, MemoryMax: int64(Config{}.withDefaults().MemoryMax),
		Begin: func() error { return next.write(dir) },
	})
	if err != nil {
		return done, err
	}
	next.State = memberNode
	if err := next.write(dir); err != nil {
		return done, err
	}
	done = Recovery{
		Name: next.Name, Cluster: next.Cluster.String(), Before: next.Before.String(), Position: found.Meta.At.String(),
		Index: found.Index, Term: found.Term, Open: found.Open, Lost: []string{},
	}
	before, err := cluster.ParseRoster(found.Roster)
	for _, m := range before.Members {
		if m.ID != n.ID {
			done.Lost = append(done.Lost, m.Name)
		}
	}
	return done, err
}

// survivor reads who the server was whose folder it is, and refuses one that was no member.
func survivor(dir string) (n nodeFile, err error) {
	if _, err := os.Stat(dir); err != nil {
		return n, err
	}
	n, ok, err := readNode(dir)
	switch {
	case err != nil:
		return n, err
	case !ok || n.State == blankNode:
		return n, fmt.Errorf("%s does not belong to a member of a cluster: there is nothing to recover; a server that was alone starts as it is", dir)
	case n.State == removedNode:
		return n, fmt.Errorf("%s belongs to server %s (%v), which was removed from cluster %s before: if no other is left, run keywatch restore %s --data NEWDIR",
			dir, n.Name, n.ID, n.Cluster, filepath.Join(dir, "checkpoint.db"))
	}
	return n, nil
}
