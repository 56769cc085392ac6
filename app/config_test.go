package app_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"keywatch/app"
)

// Without it a limit that was mistyped would pass for another one.
func TestSizeText(t *testing.T) {
	for text, want := range map[string]app.Size{
		"0": 0, "1": 1, "512": 512, "512B": 512, "1KiB": 1 << 10, "64MiB": 64 << 20, "2 GiB": 2 << 30, "1TiB": 1 << 40,
		"1kB": 1000, "3MB": 3e6, "1GB": 1e9, " 7 ": 7,
	} {
		var got app.Size
		if err := got.UnmarshalText([]byte(text)); err != nil || got != want {
			t.Errorf("%q: got %d and %v, want %d", text, got, err, want)
		}
		var again app.Size
		if err := again.UnmarshalText([]byte(got.String())); err != nil || again != got {
			t.Errorf("%q became %q, which is %d and %v", text, got, again, err)
		}
	}
	for _, text := range []string{"", "-1", "1.5MiB", "MiB", "1mib", "1 M", "x", "9223372036854775807KiB", "99999999999999999999"} {
		var got app.Size
		if err := got.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q: got %d, want an error", text, got)
		}
	}
}

// Without it a server would start with a setting that it cannot keep, and be
// found out later.
func TestConfigIsChecked(t *testing.T) {
	for _, good := range []app.ServeConfig{{Config: app.Config{Data: "x"}}, {Config: app.Config{MemoryOnly: true}}} {
		if err := good.Validate(); err != nil {
			t.Errorf("%+v: %v", good, err)
		}
	}
	for want, config := range map[string]app.ServeConfig{
		"data:":             {},
		"fsync:":            {Config: app.Config{Fsync: "sometimes"}},
		"max-value:":        {Config: app.Config{MaxValue: -1}},
		"max-queue:":        {Config: app.Config{MaxQueue: -1}},
		"heartbeat:":        {Config: app.Config{Heartbeat: -time.Second}},
		"history:":          {Config: app.Config{History: -1}},
		"checkpoint-bytes:": {Config: app.Config{CheckpointBytes: -1}},
		"segment-size:":     {Config: app.Config{SegmentSize: -1}},
		"max-batch:":        {Config: app.Config{MaxBatch: 1 << 10}},
		"half of":           {Config: app.Config{MemoryMax: 8 << 20, MaxBatch: 5 << 20}},
		"memory-max:":       {Config: app.Config{MemoryMax: 1 << 20, History: 1 << 20}},
		"no room for one batch of --max-batch 64MiB": {Config: app.Config{MemoryMax: 1 << 30, MaxBatch: 64 << 20}, ClientMemory: 64 << 20},
		"must be at least 8256KiB":                   {ClientMemoryPerCaller: 8 << 20},
		"huge-pages:":                                {HugePages: "always"},
		"grace:":                                     {Grace: -1},
		"rate-limit:":                                {RateLimit: "reads=fast"},
		"nonsense/33":                                {TrustedProxy: []string{"nonsense/33"}},
		"not.an.address.at":                          {TrustedProxy: []string{"not.an.address.at"}},
	} {
		if want != "data:" {
			config.Data = "x"
		}
		if err := config.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want an error about %s", err, want)
		}
	}
}

// Without it a server would start that refuses every large request of clients elsewhere.
func TestClientMemoryHasRoomForABatch(t *testing.T) {
	c := app.ServeConfig{Config: app.Config{Data: "x", MemoryMax: 1 << 30, MaxBatch: 8 << 20}, ClientMemory: 12 << 20}
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	if got := c.Effective().ClientMemoryPerCaller; got != 8<<20+64<<10 {
		t.Errorf("one caller may hold %v", got)
	}
	c.ClientMemory = 1 << 30
	if got := c.Effective().ClientMemoryPerCaller; got != 512<<20 {
		t.Errorf("one caller may hold %v", got)
	}
}

// Without it two starts with the same bad flags would name different ones.
func TestConfigIsCheckedInOrder(t *testing.T) {
	bad := app.ServeConfig{Config: app.Config{Data: "x", IdemMax: -1, MaxValue: -1, LeaseMax: -1}, Grace: -1}
	for range 50 {
		if err := bad.Validate(); err == nil || !strings.HasPrefix(err.Error(), "max-value:") {
			t.Fatalf("got %v, want an error about the first bad flag, max-value", err)
		}
	}
}

// Without it a small server would have to be told every size, or would not start.
func TestDefaultsFollowTheMemory(t *testing.T) {
	for _, size := range []app.Size{4 << 20, 64e6, 64 << 20, 1 << 30, 1 << 40} {
		e := openEngine(t, app.Config{MemoryOnly: true, MemoryMax: size})
		if err := e.Close(); err != nil {
			t.Errorf("memory-max %v: %v", size, err)
		}
	}
}

// Without it a store without authentication would be open to the network
// by a slip.
func TestListenBeyondThisMachine(t *testing.T) {
	for _, listen := range []string{":7070", "0.0.0.0:7070", "192.0.2.1:7070", "[::]:7070", "example.com:7070", "nonsense"} {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		err := app.Serve(ctx, app.ServeConfig{Config: app.Config{MemoryOnly: true}, Listen: listen}, nil)
		if err == nil || !strings.Contains(err.Error(), "listen:") {
			t.Errorf("%s: got %v, want a refusal", listen, err)
		}
	}
}

// If this failed, an operator would believe that logins are written down, or sessions end, where no caller
// is asked who it is.
func TestSettingsOfUsersWithoutUsers(t *testing.T) {
	for name, set := range map[string]func(*app.ServeConfig){
		"audit-writes": func(c *app.ServeConfig) { c.AuditWrites = true },
		"audit-log":    func(c *app.ServeConfig) { c.AuditLog = "stderr" }, "session-ttl": func(c *app.ServeConfig) { c.SessionTTL = time.Hour },
		"auth-key-file": func(c *app.ServeConfig) { c.AuthKeyFile = "f" }, "auth-key-command": func(c *app.ServeConfig) { c.AuthKeyCommand = "f" },
		"admin-key-file": func(c *app.ServeConfig) { c.AdminKey = "k" }, "auth-lag": func(c *app.ServeConfig) { c.AuthLag = time.Minute },
		"login-rate-address": func(c *app.ServeConfig) { c.LoginRateAddress = "1/s:1" }, "login-rate-name": func(c *app.ServeConfig) { c.LoginRateName = "1/s:1" },
		"jwt-keys":      func(c *app.ServeConfig) { c.JWT = app.JWTConfig{JWTKeys: "f", JWTIssuer: "i", JWTAudience: "a"} },
		"tls-client-ca": func(c *app.ServeConfig) { c.TLS.TLSCert, c.TLS.TLSKey, c.TLS.TLSClientCA = "c", "k", "a" },
	} {
		for auth, want := range map[string]string{"off": name + ": has no effect with --auth=off", "auto": "", "on": ""} {
			c := app.ServeConfig{}
			c.Data, c.Auth = t.TempDir(), auth
			set(&c)
			if err := c.Validate(); (err == nil) != (want == "") || err != nil && !strings.HasPrefix(err.Error(), want) {
				t.Errorf("%s with --auth=%s: got %v, want %q", name, auth, err, want)
			}
		}
	}
	c := app.ServeConfig{AuditLog: "off", AuditWrites: true}
	c.Data = t.TempDir()
	if err := c.Validate(); err == nil || !strings.HasPrefix(err.Error(), "audit-writes: requires an audit log") {
		t.Errorf("writes are to be audited without an audit log: got %v", err)
	}
	c = app.ServeConfig{RESPKeys: "escape"}
	c.Data = t.TempDir()
	if err := c.Validate(); err == nil || !strings.HasPrefix(err.Error(), "resp-keys: requires --resp") {
		t.Errorf("keys of clients of Redis are escaped where there are none: got %v", err)
	}
	c = app.ServeConfig{AuditLog: "off"}
	c.Data, c.Auth = t.TempDir(), "off"
	if err := c.Effective().Validate(); err != nil {
		t.Errorf("with every default: %v", err)
	}
}
