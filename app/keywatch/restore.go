package main

import "keywatch/app"

// restoreCmd makes a data folder from a backup.
type restoreCmd struct {
	File string `arg:"" help:"Backup to read."`
	Data string `help:"Data folder to make." required:"" placeholder:"DIR"`

	ObjectStore string `help:"Where the objects of a backup made with --include-objects go; by default into the data folder." placeholder:"URL"`
}

// Help is printed by keywatch restore --help.
func (*restoreCmd) Help() string {
	return `
Works on files alone: no server may use the folder. The restored store begins a
new epoch, so that no position or etag from before means something else now.

Start the server with the same --object-store as this, or without if none is given. A
backup without objects refers to the object store of its server: it is named at the
end, and by a start without it.
If the restore fails, no server starts on the folder until one has succeeded.

Examples:

    keywatch restore keywatch-2026-01-31.backup --data=./keywatch-data
    keywatch restore whole.backup --data=./keywatch-data --object-store=dir:///srv/objects
`
}

// restoreBackup makes the data folder dir from the backup file.
var restoreBackup = app.Restore

// Run restores.
func (c *restoreCmd) Run(s *session) error {
	if c.Data == "" {
		return usagef("--data is empty")
	}
	done, err := restoreBackup(s.ctx, c.File, c.Data, app.RestoreOptions{ObjectStore: c.ObjectStore, Release: version()})
	if err != nil {
		return err // it begins with what was done
	}
	if s.json() {
		out := map[string]string{"data": c.Data}
		if done.ObjectStore != "" {
			out["object_store"] = done.ObjectStore
		}
		return s.printValue(out)
	}
	if done.ObjectStore != "" {
		s.message("values are in %s: start the server with --object-store=%[1]s", done.ObjectStore)
	}
	return s.printf("restored to %s\n", c.Data)
}
