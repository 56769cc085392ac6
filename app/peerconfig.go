package app

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"regexp"
	"strconv"
	"strings"
	"time"

	"keywatch/cluster"
	"keywatch/cluster/peer"
)

// PeerConfig configures a server's part in a cluster. Without PeerListen it is alone.
type PeerConfig struct {
	PeerListen    string   `help:"Address at which the other servers of a cluster reach this one; without it the server is alone." placeholder:"HOST:PORT"`
	PeerAdvertise string   `help:"The same address as the other servers name it. Required if --peer-listen is for all addresses." placeholder:"HOST:PORT"`
	Advertise     string   `help:"URL at which clients reach this server, as the others tell them. By default the host of --peer-advertise and the port of --listen, unless that is on this machine only." placeholder:"URL"`
	Name          string   `help:"Name of this server in the cluster. By default the host name."`
	Join          []string `help:"Addresses, as in their --peer-advertise, of servers of the cluster to join; any of them will do." placeholder:"HOST:PORT"`
	Expect        int      `help:"With how many voters a new cluster begins: give all of them the same --join, with all addresses. It takes no writes before." placeholder:"N"`
	Observer      bool     `help:"Join as a server that has all data and never votes."`
	Replace       string   `help:"Name of the server whose place this one takes once it has caught up." placeholder:"NAME"`

	PeerTokenFile string `help:"File with the secret that the servers of a cluster share, see keywatch cluster token. Or set KEYWATCH_PEER_TOKEN." placeholder:"FILE"`
	PeerCert      string `help:"Certificate of this server, instead of a token; PEM." placeholder:"FILE"`
	PeerKey       string `help:"Its key." placeholder:"FILE"`
	PeerCA        string `help:"Certificates that those of the other servers are verified with." placeholder:"FILE"`
	PeerInsecure  bool   `help:"Talk to the other servers without TLS; on this machine only."`

	PeerSnapshotRate Size `help:"How fast the state is sent to servers that have fallen behind the log, a second, to all of them together and before it is compressed." default:"64MiB" placeholder:"SIZE"`
	LogKeep          Size `help:"How much of the log is kept, beside what no checkpoint has, for servers that are behind. One that needs more gets the whole state." default:"64MiB" placeholder:"SIZE"`

	ElectionTimeout time.Duration `help:"How long the leader may be silent before the others elect one; up to twice as long." default:"1s"`

	// PeerToken is the secret itself, instead of a file. As a flag others on the machine could read it.
	PeerToken string `help:"The secret itself; set KEYWATCH_PEER_TOKEN, which others on the machine cannot read." placeholder:"TOKEN" hidden:"" secret:"text"`
	// peerListener is open already; tests use it.
	peerListener net.Listener
}

// together reports whether the server is one of a cluster.
func (c *PeerConfig) together() bool { return c.PeerListen != "" }

// maxPeerBatch is the largest batch that fits into a frame between servers.
const maxPeerBatch = 15 << 20

// validName is what a server may be called: it is shown, and typed.
var validName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$`)

func (c PeerConfig) withDefaults() PeerConfig {
	orDefault(&c.ElectionTimeout, time.Second)
	orDefault(&c.PeerSnapshotRate, 64<<20)
	orDefault(&c.LogKeep, cluster.DefaultLogKeep)
	if !c.together() {
		return c
	}
	if c.Name == "" {
		c.Name, _ = os.Hostname() // an empty one is refused
		c.Name, _, _ = strings.Cut(c.Name, ".")
	}
	orDefault(&c.PeerAdvertise, c.PeerListen)
	return c
}

// validate returns why the server cannot be one of a cluster as it is configured.
func (c *PeerConfig) validate() error {
	if !c.together() {
		for _, f := range []struct {
			set  bool
			flag string
		}{{len(c.Join) > 0, "join"}, {c.Expect != 0, "expect"}, {c.Observer, "observer"}, {c.Replace != "", "replace"}} {
			if f.set {
				return fmt.Errorf("%s: requires --peer-listen, the address at which the other servers reach this one", f.flag)
			}
		}
		return nil
	}
	if !validName.MatchString(c.Name) {
		return fmt.Errorf("name: %.80q is not a name of letters, digits, dots, hyphens and underscores, at most 63", c.Name)
	}
	if err := checkAdvertised("peer-advertise", c.PeerAdvertise); err != nil {
		return err
	}
	for _, addr := range c.Join {
		if err := checkAdvertised("join", addr); err != nil {
			return err
		}
	}
	if u, err := url.Parse(c.Advertise); c.Advertise != "" && (err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https") {
		return fmt.Errorf("advertise: expected http://HOST:PORT or https://HOST:PORT, got %q", c.Advertise)
	}
	switch {
	case c.Expect < 0 || c.Expect > 5 || c.Expect > 0 && c.Expect%2 == 0:
		return fmt.Errorf("expect: expected 1, 3 or 5 voters, got %d", c.Expect)
	case c.Expect > 1 && len(c.Join) == 0:
		return errors.New("expect: requires --join with the addresses of all servers that begin together")
	case c.Observer && (len(c.Join) == 0 || c.Expect > 0):
		return errors.New("observer: requires --join, and cannot be combined with --expect")
	case c.Replace != "" && len(c.Join) == 0:
		return errors.New("replace: requires --join")
	case c.ElectionTimeout < 100*time.Millisecond || c.ElectionTimeout > time.Minute:
		return fmt.Errorf("election-timeout: expected 100ms to 1m, got %v", c.ElectionTimeout)
	}
	_, err := c.secrets()
	return err
}

// checkAdvertised refuses an address at which no server can be reached.
func checkAdvertised(flag, addr string) error {
	host, port, err := net.SplitHostPort(addr)
	if err != nil || port == "" || len(addr) > 255 {
		return fmt.Errorf("%s: expected host:port, got %q", flag, addr)
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		return fmt.Errorf("%s: %q is for all addresses of a machine: name the one at which the other servers reach it", flag, addr)
	}
	return nil
}

// secrets returns options of a mesh with what protects the connections.
func (c *PeerConfig) secrets() (o peer.Options, err error) {
	text := c.PeerToken
	ways := 0
	for _, set := range []bool{c.PeerTokenFile != "" || text != "", c.PeerCert != "" || c.PeerKey != "" || c.PeerCA != "", c.PeerInsecure} {
		if set {
			ways++
		}
	}
	switch {
	case ways == 0:
		return o, errors.New("peer-token-file: required with --peer-listen; make one with keywatch cluster token, or use --peer-cert, or --peer-insecure on one machine")
	case ways > 1 || c.PeerTokenFile != "" && text != "":
		return o, errors.New("peer-token-file: one of a token, --peer-cert and --peer-insecure is required, and there are several")
	case c.PeerInsecure:
		o.Insecure = true
		return o, nil
	case c.PeerCert != "" || c.PeerKey != "" || c.PeerCA != "":
		if o.Certificate, err = peer.LoadCertificate(c.PeerCert, c.PeerKey, c.PeerCA); err != nil {
			return o, fmt.Errorf("peer-cert: %w", err)
		}
		return o, nil
	}
	if c.PeerTokenFile != "" {
		b, err := os.ReadFile(c.PeerTokenFile)
		if err != nil {
			return o, fmt.Errorf("peer-token-file: %w", err)
		}
		text = string(b)
	}
	if o.Tokens, err = peer.ParseTokens(text); err != nil {
		return o, fmt.Errorf("peer-token-file: %w", err)
	}
	return o, nil
}

// advertise fills in the URL for clients, who reach the server at the address that it listens at. There is none where
// that is on this machine only, and the other servers are elsewhere: a client that was told it would reach another
// server, or nothing.
func (c *PeerConfig) advertise(scheme string, listen net.Addr) {
	host, _, err := net.SplitHostPort(c.PeerAdvertise)
	tcp, ok := listen.(*net.TCPAddr)
	if !c.together() || c.Advertise != "" || err != nil || !ok {
		return
	}
	if ip := net.ParseIP(host); tcp.IP.IsLoopback() && host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return
	}
	c.Advertise = scheme + "://" + net.JoinHostPort(host, strconv.Itoa(tcp.Port))
}

// role returns what the server is to become.
func (c *PeerConfig) role() cluster.Role {
	if c.Observer {
		return cluster.Observer
	}
	return cluster.Voter
}

// NewPeerToken draws the secret that the servers of a cluster share, as PeerConfig has it.
func NewPeerToken() string { return peer.NewToken().Text() }
