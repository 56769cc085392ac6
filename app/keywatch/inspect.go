package main

import (
	"fmt"
	"text/tabwriter"
	"time"

	"keywatch/app"
)

// inspectCmd looks into files that no server has open.
type inspectCmd struct {
	Path    string  `arg:"" help:"Data folder, checkpoint, backup or segment of a log."`
	Keys    *string `help:"List the keys that begin with this, as of the checkpoint; / is all." placeholder:"PREFIX"`
	Leases  bool    `help:"List the leases, as of the checkpoint."`
	Objects bool    `help:"List the segments of object storage that values are in."`
	Log     bool    `help:"List each group of the log."`
	Ranges  bool    `help:"List each range of the checkpoint."`
	Verify  bool    `help:"Read everything and check it; with --objects the segments too."`

	ObjectStore string `help:"Object store to read segments from. By default the one that the folder or the checkpoint names." placeholder:"URL"`
}

// Help is printed by keywatch inspect --help.
func (*inspectCmd) Help() string {
	return `
Reads a data folder of a server that is stopped, a checkpoint, a backup or one segment of a
log, and changes nothing. The structure of a checkpoint, the checksums of the log and the
segments in a backup that was made with --include-objects are always checked; --verify reads
every record. Damage is listed with file and byte; then it exits with 1. The checkpoint in a
backup with objects is copied to $TMPDIR meanwhile.

Examples:

    keywatch inspect /var/lib/keywatch
    keywatch inspect --verify keywatch-2026-11-30.backup
    keywatch inspect --verify --objects /var/lib/keywatch
    keywatch inspect --keys=config/ -o json keywatch-data | jq .keys
    keywatch inspect --log keywatch-data/log-00000001.seg
`
}

// Run prints what is there.
func (c *inspectCmd) Run(s *session) error {
	opts := app.InspectOptions{Log: c.Log, Verify: c.Verify, Leases: c.Leases, Objects: c.Objects, ObjectStore: c.ObjectStore}
	if c.Keys != nil {
		opts.Keys, opts.Prefix = true, *c.Keys
		if prefix, ok := prefixOf(opts.Prefix); ok {
			opts.Prefix = prefix
		}
	}
	found, err := app.Inspect(s.ctx, c.Path, opts)
	if err != nil {
		return err
	}
	if s.json() {
		err = s.printValue(found)
	} else {
		err = c.print(s, found)
	}
	if n := len(found.Damage); err == nil && n > 0 {
		return fmt.Errorf("%s: %d faults found", c.Path, n)
	}
	return err
}

// print prints tables.
func (c *inspectCmd) print(s *session, x *app.Inspection) error {
	t := tabwriter.NewWriter(s.stdout, 0, 0, 2, ' ', 0)
	if x.Store != "" {
		fmt.Fprintf(t, "store\t%s\nformat\t%d of %s\nclean stop\t%v\n", x.Store, x.Level, x.Release, x.CleanStop)
	}
	if p := x.Checkpoint; p != nil {
		fmt.Fprintf(t, "checkpoint\t%d, %s%s\n", p.Number, sizeText(p.Bytes), verifiedText(p.Verified))
		fmt.Fprintf(t, "position\t%s-%d\nindex\t%d in term %d\n", p.Epoch, p.Rev, p.Index, p.Term)
		fmt.Fprintf(t, "records\t%d, %d of them live (%s of %s) in %d ranges\n", p.Records, p.Live, sizeText(p.LiveBytes), sizeText(p.StoreBytes), len(p.Ranges))
		fmt.Fprintf(t, "leases\t%d\nidempotency records\t%d\nprivate records\t%d\n", p.Leases, p.Idem, p.Private)
		if p.Members != "" {
			fmt.Fprintf(t, "members\t%s\n", p.Members)
		}
	}
	if l := x.Log; l != nil {
		fmt.Fprintf(t, "log\t%d segments, entries %d to %d in term %d, %s\n", len(l.Segments), l.First, l.Last, l.LastTerm, sizeText(l.Bytes))
	}
	if c.Ranges && x.Checkpoint != nil {
		fmt.Fprintf(t, "\nRANGE\tRECORDS\tLIVE\tSIZE\tSUM\n")
		for _, r := range x.Checkpoint.Ranges {
			fmt.Fprintf(t, "%d-%d\t%d\t%d\t%s\t%s\n", r.First, r.Last, r.Records, r.Live, sizeText(r.Bytes), r.Sum)
		}
	}
	if c.Log && x.Log != nil {
		printGroups(t, x)
	}
	if c.Keys != nil {
		fmt.Fprintf(t, "\nKEY\tREV\tVERSION\tSIZE\tTIER\tLEASE\n")
		for _, k := range x.Keys {
			fmt.Fprintf(t, "%s\t%d\t%d\t%d\t%s\t%s\n", k.Key, k.Rev, k.Version, k.Bytes, k.Tier, k.Lease)
		}
	}
	if c.Leases {
		fmt.Fprintf(t, "\nLEASE\tTTL\tREMAINING\tKEYS\tLOCK\tOWNER\n")
		for _, l := range x.LeaseList {
			fmt.Fprintf(t, "%s\t%v\t%v\t%d\t%s\t%s\n", l.ID, milliseconds(l.TTLMS), milliseconds(l.RemainingMS), l.Keys, l.Lock, l.Owner)
		}
	}
	if c.Objects || x.Full {
		printSegments(t, x)
	}
	for _, d := range x.Damage {
		fmt.Fprintf(t, "\nDAMAGE\t%s\nat byte\t%d\n\t%s\n", d.File, d.Offset, d.Reason)
	}
	return t.Flush()
}

// printSegments prints the segments of object storage.
func printSegments(t *tabwriter.Writer, x *app.Inspection) {
	fmt.Fprintf(t, "\nOBJECT\tVALUES\tOF\tSIZE\tVERIFIED\n")
	for _, o := range x.ObjectSegments {
		records, size := "?", "?"
		if o.Verified {
			records, size = fmt.Sprint(o.Records), sizeText(o.Size)
		}
		fmt.Fprintf(t, "%s\t%d\t%s\t%s\t%v\n", o.Name, o.Values, records, size, o.Verified)
	}
}

func milliseconds(n int64) time.Duration { return time.Duration(n) * time.Millisecond }

// printGroups prints each group of the log.
func printGroups(t *tabwriter.Writer, x *app.Inspection) {
	for _, segment := range x.Log.Segments {
		fmt.Fprintf(t, "\nSEGMENT\t%s\t%d bytes\tused to %d\n", segment.File, segment.Size, segment.End)
		fmt.Fprintf(t, "OFFSET\tSIZE\tGROUP\tKIND\tINDEX\tCOUNT\tCRC32C\n")
		for _, g := range segment.Group {
			fmt.Fprintf(t, "%d\t%d\t%d\t%s\t%d\t%d\t%s\n", g.Offset, g.Size, g.Seq, g.Kind, g.Index, g.Count, g.CRC)
		}
	}
}

func verifiedText(verified bool) string {
	if verified {
		return ", every record verified"
	}
	return ""
}
