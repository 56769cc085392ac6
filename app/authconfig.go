package app

import (
	"errors"
	"fmt"
	"io"
	"os/exec"
	"time"

	"keywatch/auth"
)

// An AuthConfig says whether callers have to prove who they are, and how the records about them are
// sealed. The zero value of each field is its default. The tags are for the command line.
type AuthConfig struct {
	Auth           string        `name:"auth" help:"Whether callers must prove who they are: on, off, or auto, which is on where the store has users." default:"auto" enum:"auto,on,off" group:"Access"`
	AuthKeyFile    string        `help:"File with the key that seals users, roles and credentials; KEYWATCH_AUTH_KEY may have its text instead. By default auth.key in the data folder, made by the first start with --auth=on; a server that joins a cluster is given a copy." placeholder:"FILE" group:"Access"`
	AuthKeyCommand string        `help:"Command that wraps and unwraps keys, for a sealing key that is stored elsewhere: it gets wrap or unwrap and a name as arguments and base64 as input, and prints base64." placeholder:"FILE" group:"Access"`
	AdminKeyFile   string        `help:"File with an API key for the first administrator, as keywatch auth key new prints it; KEYWATCH_ADMIN_KEY may have its text instead. By default one is made in first-admin.key in the data folder, which is valid for a day." placeholder:"FILE" group:"Access"`
	AuthRecover    bool          `help:"Make a new API key for an administrator in first-admin.key in the data folder, where all others are lost." group:"Access"`
	AuthForget     bool          `help:"Delete all users, roles and credentials, so that callers need not prove who they are any more." group:"Access"`
	SessionTTL     time.Duration `name:"session-ttl" help:"How long a login is valid." default:"12h" group:"Access"`
	AuthLag        time.Duration `name:"auth-lag" help:"How long one server of a cluster shows what it has to callers, and keeps their streams, without hearing from a leader: it cannot know whom others have revoked since." default:"5s" group:"Access"`

	// JWT is about tokens that others have signed.
	JWT JWTConfig `embed:""`

	// AuthKey and AdminKey are the texts of the two keys, instead of files.
	AuthKey  string `kong:"-"`
	AdminKey string `kong:"-"`
	// HashCommand, if not nil, returns a command that runs ServeHashes, which passwords are hashed by:
	// what that takes of the processors is not taken from requests. Without it this process hashes.
	HashCommand func() *exec.Cmd `kong:"-"`
}

func (c AuthConfig) withDefaults() AuthConfig {
	orDefault(&c.Auth, "auto")
	orDefault(&c.SessionTTL, 12*time.Hour)
	orDefault(&c.AuthLag, 5*time.Second)
	c.JWT = c.JWT.withDefaults()
	return c
}

// validate returns an error that names the first field that cannot be used.
func (c AuthConfig) validate(memoryOnly bool) error {
	sources := 0
	for _, text := range []string{c.AuthKeyFile, c.AuthKey, c.AuthKeyCommand} {
		if text != "" {
			sources++
		}
	}
	switch {
	case c.Auth != "auto" && c.Auth != "on" && c.Auth != "off":
		return fmt.Errorf("auth: expected auto, on or off, got %q", c.Auth)
	case sources > 1:
		return errors.New("auth-key-file: --auth-key-file, --auth-key-command and KEYWATCH_AUTH_KEY exclude each other")
	case c.AdminKeyFile != "" && c.AdminKey != "":
		return errors.New("admin-key-file: --admin-key-file and KEYWATCH_ADMIN_KEY exclude each other")
	case memoryOnly && c.Auth == "on" && c.AdminKeyFile == "" && c.AdminKey == "":
		return errors.New("admin-key-file: required with --auth=on and --memory-only, which has no folder for the first key")
	case c.AuthRecover && c.Auth == "off" || c.AuthForget && c.Auth == "on" || c.AuthRecover && c.AuthForget:
		return errors.New("auth: --auth-recover is for a server with authentication, --auth-forget for one without")
	case c.SessionTTL < time.Minute || c.SessionTTL > 90*24*time.Hour:
		return fmt.Errorf("session-ttl: expected 1m to 2160h, got %v", c.SessionTTL)
	case c.AuthLag < time.Second || c.AuthLag > time.Hour:
		return fmt.Errorf("auth-lag: expected 1s to 1h, got %v", c.AuthLag)
	}
	return c.JWT.validate()
}

// ServeHashes hashes the passwords that a server sends to the process that AuthConfig.HashCommand
// starts. It returns nil once the server closes in.
func ServeHashes(in io.Reader, out io.Writer) error { return auth.ServeHashes(in, out) }
