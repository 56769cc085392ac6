package main

import (
	"fmt"

	"keywatch/app"
)

// restoreCmd makes a data folder from a backup.
type restoreCmd struct {
	File string `arg:"" help:"Backup to read."`
	Data string `help:"Data folder to make." required:"" placeholder:"DIR"`

	ObjectStore string `help:"Where the objects of a backup made with --include-objects go; by default into the data folder." placeholder:"URL"`
	RevokeKeys  bool   `help:"Leave API keys out: none of the backup is valid."`
}

// Help is printed by keywatch restore --help.
func (*restoreCmd) Help() string {
	return `
Works on files alone: no server may use the folder. The restored store begins a
new epoch, so that no position or etag from before means something else now.

Start the server with the same --object-store as this, or without if none is given. A
backup without objects refers to the object store of its server: it is named at the
end, and by a start without it.
Users are as they were when the backup was made: keys that were revoked, and users that were
disabled since, are valid again. --revoke-keys leaves all API keys out; serve
--auth-recover makes one for an administrator. Sessions and tickets end with any restore.
If the restore fails, no server starts on the folder until one has succeeded.

Examples:

    keywatch restore keywatch-2026-01-31.backup --data=./keywatch-data
    keywatch restore whole.backup --data=./keywatch-data --object-store=dir:///srv/objects
`
}

// A restoreAnswer is what --output json prints.
type restoreAnswer struct {
	Data        string `json:"data"`
	ObjectStore string `json:"object_store,omitempty"`
	Users       int    `json:"users,omitempty"`
	Credentials int    `json:"credentials,omitempty"`
	Revoked     int    `json:"revoked,omitempty"`
}

// usersRestored says what became of users and their keys.
func usersRestored(done app.Restored) string {
	text := fmt.Sprintf("%d users are as they were when the backup was made", done.Users)
	if done.Revoked > 0 {
		return fmt.Sprintf("%s; %d credentials were revoked", text, done.Revoked)
	}
	return fmt.Sprintf("%s, with %d credentials: what was revoked since is valid again, but for sessions", text, done.Credentials)
}

// restoreBackup makes the data folder dir from the backup file.
var restoreBackup = app.Restore

// Run restores.
func (c *restoreCmd) Run(s *session) error {
	if c.Data == "" {
		return usagef("--data is empty")
	}
	done, err := restoreBackup(s.ctx, c.File, c.Data, app.RestoreOptions{ObjectStore: c.ObjectStore, Release: version(), RevokeKeys: c.RevokeKeys})
	if err != nil {
		return err // it begins with what was done
	}
	if s.json() {
		return s.printValue(restoreAnswer{c.Data, done.ObjectStore, done.Users, done.Credentials, done.Revoked})
	}
	if done.Users > 0 {
		s.message("%s", usersRestored(done))
	}
	if done.ObjectStore != "" {
		s.message("values are in %s: start the server with --object-store=%[1]s", done.ObjectStore)
	}
	return s.printf("restored to %s\n", c.Data)
}
