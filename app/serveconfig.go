package app

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"

	"keywatch/ratelimit"
	"keywatch/web"
)

// ServeConfig configures a server: its engine and its listener. The zero value of each
// field is its default. The tags are for the command line.
type ServeConfig struct {
	Config `embed:""`

	Listen           string   `help:"Address to listen on." default:"127.0.0.1:7070" placeholder:"HOST:PORT" group:"Network"`
	OpsListen        string   `help:"Second address, for operators: /metrics, /healthz, /readyz and /debug/pprof, without authentication. It answers from the start of the process to its end." placeholder:"HOST:PORT" group:"Network"`
	RESP             string   `name:"resp" help:"Second address, for clients of Redis: RESP2 and RESP3 over the same keys, over TLS where the server has a certificate." placeholder:"HOST:PORT" group:"Network"`
	RESPPlaintext    bool     `name:"resp-plaintext" help:"Serve clients of Redis in clear text, although the server has a certificate; beyond this machine only with --plaintext." group:"Network"`
	RESPKeys         string   `name:"resp-keys" help:"Which keys clients of Redis may use: strict, those of the other protocols, or escape, any bytes: what a key may not have, and %, is stored as %XX." default:"strict" enum:"strict,escape" group:"Network"`
	Insecure         bool     `help:"Listen beyond this machine although there is no authentication." group:"Network"`
	Plaintext        bool     `help:"Serve beyond this machine in clear text, with --auth=on: a proxy in front does TLS." group:"Network"`
	AllowHost        []string `help:"Further host names that requests may name; .DOMAIN is every name below DOMAIN, * is every name." placeholder:"NAME" group:"Network"`
	AllowOrigin      []string `help:"Further origins whose pages may use the server." placeholder:"URL" group:"Network"`
	TrustedProxy     []string `help:"Addresses or networks of proxies whose X-Forwarded-For is believed." placeholder:"CIDR" group:"Network"`
	RateLimit        string   `help:"Limits for each caller, such as reads=1000/s,writes=200/s:400,watches=10/s." default:"off" group:"Limits"`
	LoginRateAddress string   `help:"Logins that fail from one address, or one /64 of IPv6: the rate and how many at once." default:"30/m:10" placeholder:"RATE" group:"Access"`
	LoginRateName    string   `help:"Logins that fail under one name." default:"12/m:20" placeholder:"RATE" group:"Access"`
	AuditLog         string   `help:"Where logins, changes of users and credentials, an operator's work and denials are written down: a file, stderr or off. By default audit.jsonl in the data folder, with authentication." placeholder:"FILE" group:"Access"`
	AuditWrites      bool     `help:"Write down each change of a key, a lease or a lock there too, with its caller, but no value. What comes faster than it can be written is counted instead." group:"Access"`
	RateLoopback     bool     `help:"Limit callers on this machine too." group:"Limits"`

	ClientMemory          Size `help:"Memory that clients can make the server hold beside --memory-max: connections, watches, waits for locks, requests and answers under way. By default a quarter of --memory-max and 16MiB." placeholder:"SIZE" group:"Memory"`
	ClientMemoryPerCaller Size `help:"How much of it one caller may hold; callers on this machine are not limited unless --rate-loopback is set. By default half, or what one batch of --max-batch takes if that is more." placeholder:"SIZE" group:"Memory"`

	MaxBackups     int `help:"Most backups that are read at once." default:"2" group:"Limits"`
	MaxConnections int `help:"Most connections that ask and answer; streams do not count." default:"10000" group:"Limits"`
	MaxFiles       int `help:"Most connections of both kinds together; 0 is what the system lets the process open, less 512." group:"Limits"`

	EventLoops string        `help:"Whether a few event loops serve the connections of plain requests: auto, where the system can do it, or off, a goroutine for each." default:"auto" enum:"auto,off" group:"Network"`
	HugePages  string        `help:"Whether memory that is in use is moved to huge pages, which makes stores of many keys quicker: auto, where the kernel can do it, or off." default:"auto" enum:"auto,off" group:"Memory"`
	Drain      time.Duration `help:"Time between the signal to stop and the stop: streams are told to reconnect, evenly over that time, /readyz fails, and requests are served. For a server behind a load balancer." default:"0s" group:"Operation"`
	Grace      time.Duration `help:"Time to finish what is in flight when stopping." default:"10s" group:"Operation"`

	// TLS is about the certificate of the server.
	TLS TLSConfig `embed:""`
	// Traces are about the traces of requests.
	Traces TraceConfig `embed:""`

	// OpsStarted, if not nil, is called with the address of OpsListen, before the store is
	// opened.
	OpsStarted func(net.Addr) `kong:"-"`
	// Updates, if not nil, carries configurations to change to while serving; it is never closed.
	// Serve changes what it can and logs what it cannot.
	Updates <-chan ServeConfig `kong:"-"`
	// AuthStarted, if not nil, is called before requests are answered if callers must prove who they
	// are.
	AuthStarted func() `kong:"-"`
	// TLSStarted, if not nil, is called before requests are answered if the certificate is self-signed,
	// with the fingerprint by which clients can pin the server.
	TLSStarted func(fingerprint string) `kong:"-"`
	// RESPStarted, if not nil, is called with the address of RESP, before the store is opened.
	RESPStarted func(net.Addr) `kong:"-"`

	stopSpare time.Duration // the default is the constant
}

func (c ServeConfig) withDefaults() ServeConfig {
	c.Config = c.Config.withDefaults()
	orDefault(&c.Listen, "127.0.0.1:7070")
	orDefault(&c.ClientMemory, c.MemoryMax/4+16<<20)
	orDefault(&c.ClientMemoryPerCaller, max(c.ClientMemory/2, min(c.MaxBatch+requestExtra, c.ClientMemory)))
	orDefault(&c.RateLimit, "off")
	orDefault(&c.LoginRateAddress, "30/m:10")
	orDefault(&c.LoginRateName, "12/m:20")
	orDefault(&c.EventLoops, "auto")
	orDefault(&c.HugePages, "auto")
	orDefault(&c.Grace, 10*time.Second)
	orDefault(&c.stopSpare, stopSpare)
	c.TLS.withDefaults()
	return c
}

// Effective returns the configuration with every default that depends on others, or on the
// machine.
func (c ServeConfig) Effective() ServeConfig { return c.withDefaults() }

// Validate returns an error that names the first field, in the order of the flags,
// that cannot be used.
func (c ServeConfig) Validate() error {
	c = c.withDefaults()
	if err := c.Config.Validate(); err != nil {
		return err
	}
	if _, err := c.proxies(); err != nil {
		return err
	}
	if _, err := ratelimit.ParseRates(c.RateLimit); err != nil {
		return fmt.Errorf("rate-limit: %w", err)
	}
	if _, err := c.loginRate(); err != nil {
		return err
	}
	if c.AuditWrites && c.noAudit() {
		return errors.New("audit-writes: requires an audit log: see --audit-log")
	}
	if c.EventLoops != "auto" && c.EventLoops != "off" {
		return fmt.Errorf("event-loops: expected auto or off, got %q", c.EventLoops)
	}
	if c.HugePages != "auto" && c.HugePages != "off" {
		return fmt.Errorf("huge-pages: expected auto or off, got %q", c.HugePages)
	}
	if err := c.checkClientMemory(); err != nil {
		return err
	}
	if err := checkSettings([]setting{
		{"client-memory", int64(c.ClientMemory)}, {"client-memory-per-caller", int64(c.ClientMemoryPerCaller)},
		{"max-backups", int64(c.MaxBackups)}, {"max-connections", int64(c.MaxConnections)}, {"max-files", int64(c.MaxFiles)}, {"drain", int64(c.Drain)}, {"grace", int64(c.Grace)},
	}); err != nil {
		return err
	}
	if err := c.TLS.validate(); err != nil {
		return err
	}
	if err := c.checkUnused(); err != nil {
		return err
	}
	if err := c.Traces.validate(); err != nil {
		return err
	}
	if c.OpsListen != "" {
		if _, _, err := net.SplitHostPort(c.OpsListen); err != nil {
			return fmt.Errorf("ops-listen: expected host:port, got %q", c.OpsListen)
		}
	}
	return c.checkListen()
}

// checkUnused refuses what has no effect on a server that asks no caller who it is. Those who set it would
// believe that it asks.
func (c ServeConfig) checkUnused() error {
	if c.Auth != "off" || c.AuthForget {
		return nil
	}
	standard := ServeConfig{}.withDefaults()
	for _, f := range []struct {
		set  bool
		name string
	}{
		{c.AuthKeyFile != "" || c.AuthKey != "", "auth-key-file"}, {c.AuthKeyCommand != "", "auth-key-command"},
		{c.AdminKeyFile != "" || c.AdminKey != "", "admin-key-file"}, {c.SessionTTL != standard.SessionTTL, "session-ttl"},
		{c.AuthLag != standard.AuthLag, "auth-lag"}, {c.LoginRateAddress != standard.LoginRateAddress, "login-rate-address"},
		{c.LoginRateName != standard.LoginRateName, "login-rate-name"}, {c.AuditLog != "" && c.AuditLog != "off", "audit-log"},
		{c.AuditWrites, "audit-writes"}, {c.JWT.on(), "jwt-keys"}, {c.TLS.TLSClientCA != "" && c.TLS.TLSClientAuth == "ask", "tls-client-ca"},
	} {
		if f.set {
			return fmt.Errorf("%s: has no effect with --auth=off: leave it out, or set --auth=on", f.name)
		}
	}
	return nil
}

const (
	// leastClientMemory is the least that clients need.
	leastClientMemory = 12 << 20
	// requestExtra is what a request takes of it beside its body.
	requestExtra = 64 << 10
)

// checkClientMemory refuses bounds within which a request of the largest size would never fit, whatever
// other clients give back.
func (c ServeConfig) checkClientMemory() error {
	if c.ClientMemory < leastClientMemory {
		return fmt.Errorf("client-memory: must be at least %v", Size(leastClientMemory))
	}
	need := c.MaxBatch + requestExtra
	if most := Size(ratelimit.RequestsOf(int64(c.ClientMemory))); most < need {
		return fmt.Errorf("client-memory: of %v requests may take %v, which has no room for one batch of --max-batch %v", c.ClientMemory, most, c.MaxBatch)
	}
	if c.ClientMemoryPerCaller >= 0 && c.ClientMemoryPerCaller < need {
		return fmt.Errorf("client-memory-per-caller: %v has no room for one batch of --max-batch %v: must be at least %v", c.ClientMemoryPerCaller, c.MaxBatch, need)
	}
	return nil
}

// loginRate returns the limits on failed logins.
func (c ServeConfig) loginRate() (rate web.LoginRate, err error) {
	if rate.Address, err = ratelimit.ParseRate(c.LoginRateAddress); err != nil {
		return rate, fmt.Errorf("login-rate-address: %w", err)
	}
	if rate.Name, err = ratelimit.ParseRate(c.LoginRateName); err != nil {
		return rate, fmt.Errorf("login-rate-name: %w", err)
	}
	return rate, rate.Validate()
}

// checkListen refuses to serve other machines unless callers must prove who they are over TLS, of this
// server or of a proxy, or Insecure is set.
func (c ServeConfig) checkListen() error {
	if c.RESPPlaintext && (c.RESP == "" || !c.TLS.on()) {
		return errors.New("resp-plaintext: requires --resp, and --tls-cert or --tls-self-signed: without a certificate clients of Redis are served in clear text anyway")
	}
	if c.RESPKeys == "escape" && c.RESP == "" {
		return errors.New("resp-keys: requires --resp")
	}
	if c.RESP != "" {
		if err := c.checkAddress("resp", c.RESP, c.respSecured()); err != nil {
			return err
		}
	}
	return c.checkAddress("listen", c.Listen, c.TLS.on())
}

// respSecured reports whether clients of Redis are served over TLS.
func (c ServeConfig) respSecured() bool { return c.TLS.on() && !c.RESPPlaintext }

// RESPURL returns the URL of the address for clients of Redis over TLS; in clear text the address alone.
func (c ServeConfig) RESPURL(addr net.Addr) string {
	if c.respSecured() {
		return "rediss://" + addr.String()
	}
	return addr.String()
}

// checkAddress is checkListen for one address; secured says that it is served over TLS.
func (c ServeConfig) checkAddress(flag, addr string, secured bool) error {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return fmt.Errorf("%s: expected host:port, got %q", flag, addr)
	}
	if ip := net.ParseIP(host); host == "localhost" || ip != nil && ip.IsLoopback() || c.Insecure || c.Auth == "on" && (secured || c.Plaintext) {
		return nil
	}
	if c.Auth == "on" && flag == "resp" && c.RESPPlaintext {
		return fmt.Errorf("%s: %s is reachable by other machines, and keys and passwords would go in clear text; leave --resp-plaintext out, or set --plaintext too if a proxy in front does TLS", flag, addr)
	}
	if c.Auth == "on" {
		return fmt.Errorf("%s: %s is reachable by other machines, and keys and passwords would go in clear text; set --tls-cert and --tls-key, or --tls-self-signed, or --plaintext if a proxy in front does TLS", flag, addr)
	}
	return fmt.Errorf("%s: %s is reachable by other machines and there is no authentication; set --auth=on with --tls-cert or --tls-self-signed, or with --plaintext behind a proxy that does TLS, or --insecure to allow everyone everything", flag, addr)
}

func (c ServeConfig) proxies() ([]netip.Prefix, error) {
	var list []netip.Prefix
	for _, text := range c.TrustedProxy {
		if !strings.Contains(text, "/") {
			addr, err := netip.ParseAddr(text)
			if err != nil {
				return nil, fmt.Errorf("trusted-proxy: expected an address or a network, got %q", text)
			}
			list = append(list, netip.PrefixFrom(addr, addr.BitLen()))
			continue
		}
		p, err := netip.ParsePrefix(text)
		if err != nil {
			return nil, fmt.Errorf("trusted-proxy: expected an address or a network, got %q", text)
		}
		list = append(list, p.Masked())
	}
	return list, nil
}
