package certs

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// lookEvery is how often a Keeper looks at its files.
const lookEvery = 10 * time.Second

// Options say where a Keeper gets its certificate from: CertFile and KeyFile, or SelfSigned.
type Options struct {
	// CertFile has the certificate and those between it and its root, KeyFile its key; PEM.
	CertFile, KeyFile string
	// ClientCAFile has the certificates that those of clients are verified with; PEM. Without it
	// clients are not asked for one.
	ClientCAFile string
	// RequireClient refuses clients that show no certificate. It requires ClientCAFile.
	RequireClient bool

	// SelfSigned makes key and certificate in Folder, or in memory if that is empty, unless they are
	// there. Names are the host names and addresses that the certificate is for, beside this machine's.
	SelfSigned bool
	Folder     string
	Names      []string

	// Logger is told of changes and failures; nil discards them.
	Logger *slog.Logger
	// Now returns the time by which certificates end; time.Now by default.
	Now func() time.Time
}

func (o Options) withDefaults() Options {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return o
}

// source returns where the certificate comes from.
func (o *Options) source() source {
	if o.SelfSigned {
		return &selfSigned{folder: o.Folder, names: ownNames(o.Names), now: o.Now}
	}
	return files{o.CertFile, o.KeyFile}
}

// A Keeper keeps the certificate of a server. It is safe for concurrent use.
type Keeper struct {
	opts   Options
	source source
	// current is what new connections use.
	current atomic.Pointer[material]

	mu struct {
		sync.Mutex
		// failed is why the files could not be used when they were last looked at.
		failed error
	}

	end     context.CancelFunc
	looking sync.WaitGroup
}

// Check returns why a Keeper of these options could not be opened, as far as that is known from files
// that are there. It makes none.
func Check(opts Options) error {
	opts = opts.withDefaults()
	if opts.SelfSigned {
		_, err := readAuthorities(opts.ClientCAFile)
		return err
	}
	_, err := opts.load(opts.source())
	return err
}

// Open reads the certificate, or makes it, and looks after it until Close. It fails with what is wrong
// and in which file.
func Open(opts Options) (*Keeper, error) {
	opts = opts.withDefaults()
	k := &Keeper{opts: opts, source: opts.source()}
	first, err := opts.load(k.source)
	if err != nil {
		return nil, err
	}
	k.use(first)
	ctx, cancel := context.WithCancel(context.Background())
	k.end = cancel
	k.looking.Go(func() { k.look(ctx) })
	return k, nil
}

// Close stops looking at the files. What Config has returned can be used after it. It may be called
// twice.
func (k *Keeper) Close() {
	k.end()
	k.looking.Wait()
}

// Config returns what connections are accepted with, from now on and for good: each handshake uses
// what the files contained when they were last looked at.
func (k *Keeper) Config() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12, SessionTicketsDisabled: true,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return k.current.Load().config, nil },
	}
}

// Certificate returns the certificate that new connections are shown.
func (k *Keeper) Certificate() *x509.Certificate { return k.current.Load().leaf }

// look looks at the files until ctx ends.
func (k *Keeper) look(ctx context.Context) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			_ = k.Reload() // it is logged
		case <-ctx.Done():
			return
		}
	}
}

// Reload looks at the files now. It returns nil if new connections use what is in them. Otherwise
// nothing has changed, and it returns why; the log has it too, once.
func (k *Keeper) Reload() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	next, err := k.opts.load(k.source)
	before := k.mu.failed
	k.mu.failed = err
	switch old := k.current.Load(); {
	case err != nil && before != nil && before.Error() == err.Error():
	case err != nil:
		k.opts.Logger.Error("the certificate cannot be read again; the earlier one is served", "err", err, "expires", old.leaf.NotAfter)
	case !next.same(old):
		k.use(next)
		k.opts.Logger.Info("certificate read again", "expires", next.leaf.NotAfter, "fingerprint", Fingerprint(next.leaf))
	case before != nil:
		k.opts.Logger.Info("the certificate can be read again", "expires", old.leaf.NotAfter)
	}
	return err
}

// use has new connections use m.
func (k *Keeper) use(m *material) {
	k.current.Store(m)
	switch now := k.opts.Now(); {
	case now.After(m.leaf.NotAfter):
		k.opts.Logger.Warn("the certificate has expired: clients refuse it", "expired", m.leaf.NotAfter)
	case now.Before(m.leaf.NotBefore):
		k.opts.Logger.Warn("the certificate is not valid yet: clients refuse it", "valid", m.leaf.NotBefore)
	}
}

// failed returns why the files cannot be used, nil if they can.
func (k *Keeper) failed() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.mu.failed
}

// errNoCertificate is what a file is said to lack.
var errNoCertificate = errors.New("there is no certificate in PEM in it")
