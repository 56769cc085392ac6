package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"keywatch/auth"
	"keywatch/auth/jwt"
	"keywatch/kv"
)

// FirstAdminFile is the file in the data folder with the API key that the first start with
// authentication makes.
const FirstAdminFile = "first-admin.key"

const (
	// sealKeyName is a file in the data folder.
	sealKeyName = "auth.key"
	// firstAdminTTL is how long a key that the server made for an administrator is valid.
	firstAdminTTL = 24 * time.Hour
	// accessEvery is how often it is looked whether keys are to be made, accessSoon how often where
	// there are no users yet.
	accessEvery = time.Minute
	accessSoon  = time.Second
	// ticketKeyAge is how old the key that signs tickets becomes.
	ticketKeyAge = 24 * time.Hour
)

// An access is what an engine knows of its callers.
type access struct {
	config   AuthConfig
	data     string // folder; empty with MemoryOnly
	engine   *Engine
	table    *auth.Table
	registry *auth.Registry
	wrapper  *sealKey
	logger   *slog.Logger
	tokens   *jwt.Keys // nil where no JWT is accepted
	// on says that callers have to prove who they are. begun says that it is known.
	on    bool
	begun atomic.Bool
	// failed counts the looks in a row after which keys could not be made.
	failed int
}

// newAccess returns an access whose table is told of all records that the state is given.
func newAccess(e *Engine) *access {
	a := &access{config: e.config.AuthConfig, engine: e, logger: e.config.Logger.With("component", "auth")}
	if !e.config.MemoryOnly {
		a.data = e.config.Data
	}
	a.wrapper = &sealKey{open: a.openSealKey}
	opts := auth.TableOptions{Wrapper: a.wrapper, Logger: a.logger, Behind: a.behind}
	if !e.config.alone() {
		opts.Barrier = func(w kv.Waker) *kv.Barrier { return e.store.BeginBarrier(w) }
	}
	if a.tokens = a.newTokens(); a.tokens != nil {
		opts.Verifier = a.tokens
	}
	a.table = auth.NewTable(opts)
	return a
}

// A sealKey is a Wrapper that is opened when it is needed first: a store without users has none.
type sealKey struct {
	open func() (auth.Wrapper, error)
	mu   sync.Mutex
	key  auth.Wrapper
}

func (k *sealKey) get() (auth.Wrapper, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.key == nil {
		key, err := k.open()
		if err != nil {
			return nil, fmt.Errorf("%w: %w", auth.ErrSealed, err)
		}
		k.key = key
	}
	return k.key, nil
}

// Wrap implements auth.Wrapper.
func (k *sealKey) Wrap(name string, key []byte) ([]byte, error) {
	w, err := k.get()
	if err != nil {
		return nil, err
	}
	return w.Wrap(name, key)
}

// Unwrap implements auth.Wrapper.
func (k *sealKey) Unwrap(name string, wrapped []byte) ([]byte, error) {
	w, err := k.get()
	if err != nil {
		return nil, err
	}
	return w.Unwrap(name, wrapped)
}

// keyFile returns where the sealing key is.
func (a *access) keyFile() string {
	if a.config.AuthKeyFile != "" {
		return a.config.AuthKeyFile
	}
	return filepath.Join(a.data, sealKeyName)
}

// openSealKey opens the sealing key that the configuration names. A store in memory that names none
// gets one that lives as long.
func (a *access) openSealKey() (auth.Wrapper, error) {
	switch {
	case a.config.AuthKey != "":
		return auth.WrapperOf(a.config.AuthKey)
	case a.config.AuthKeyCommand != "":
		return auth.WrapperFromCommand(a.config.AuthKeyCommand), nil
	case a.data == "" && a.config.AuthKeyFile == "":
		return auth.WrapperOf(auth.NewSealKey())
	}
	return auth.WrapperFromFile(a.keyFile())
}

// begin decides whether callers have to prove who they are, and makes what the first start needs. It
// comes once the log is applied and before anything is served.
func (a *access) begin(ctx context.Context) error {
	defer a.begun.Store(true)
	a.registry = auth.NewRegistry(a.table, a.engine.store, a.synced)
	a.registry.SessionTTL = a.config.SessionTTL
	if a.config.HashCommand != nil {
		a.registry.Passwords.UseProcess(a.config.HashCommand, a.logger)
	}
	if a.config.AuthForget {
		return a.forget(ctx)
	}
	a.on = a.config.Auth == "on" || !a.table.Empty() || a.table.Err() != nil
	if a.on && a.lacksKey() {
		a.obtain(ctx)
	}
	err := a.table.Err()
	switch {
	case !a.on:
		a.unused()
		return nil
	case a.config.Auth == "off":
		return errors.New("auth: the store has users, and --auth=off would serve it to everyone; --auth-forget deletes them")
	case err != nil && a.lacksKey():
		a.logger.Error("users and credentials cannot be read until another server gives this one the sealing key", "err", err)
	case err != nil:
		return fmt.Errorf("users and credentials of this store cannot be read: %w", err)
	}
	a.warn()
	if err := a.loadTokens(ctx); err != nil {
		return err
	}
	if a.engine.alone() || a.engine.node.Voters() == 1 && a.engine.leads() {
		return a.furnish(ctx)
	}
	return nil
}

// close ends what the access has begun. No request is answered any more.
func (a *access) close() {
	a.table.Close()
	if a.registry != nil {
		a.registry.Passwords.Close()
	}
}

// warn says that a key for an administrator is in a file.
func (a *access) warn() {
	if a.data == "" {
		return
	}
	path := filepath.Join(a.data, FirstAdminFile)
	if _, err := os.Stat(path); err == nil && !a.table.Empty() {
		a.logger.Warn("a file has an API key for an administrator: delete it once you have others", "file", path)
	}
}

// synced returns once everything that was answered is durable, and known to the table.
func (a *access) synced(ctx context.Context) error {
	if err := a.engine.store.Barrier(ctx); err != nil {
		return err
	}
	if a.engine.disk == nil || a.engine.config.Fsync != "interval" {
		return nil
	}
	return a.engine.disk.Log().SyncThrough(a.engine.state().Applied())
}

// furnish makes what a store needs that is to have authentication, and has none; and a new key for
// an administrator, if that is asked for.
func (a *access) furnish(ctx context.Context) error {
	switch {
	case a.table.Empty():
		return a.bootstrap(ctx)
	case a.config.AuthRecover:
		a.config.AuthRecover = false
		return a.recover(ctx)
	}
	return nil
}

// bootstrap makes the sealing key and the first administrator.
func (a *access) bootstrap(ctx context.Context) error {
	if a.makesSealKey() {
		if err := auth.MakeSealKey(a.keyFile()); err != nil && !errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("make sealing key: %w", err)
		}
	}
	if err := a.agreed(ctx); err != nil {
		return err
	}
	secret, made, ttl, err := a.adminKey()
	if err != nil {
		return err
	}
	first, err := a.registry.Bootstrap(ctx, secret, ttl)
	if err != nil || !first {
		if made {
			err = errors.Join(err, os.Remove(filepath.Join(a.data, FirstAdminFile)))
		}
		return err
	}
	a.logger.Warn("authentication is on: an administrator was made", "user", "admin", "key", a.whereKey(made))
	return nil
}

// makesSealKey reports whether a sealing key is to be made where the configuration says.
func (a *access) makesSealKey() bool {
	return a.config.AuthKey == "" && a.config.AuthKeyCommand == "" && (a.data != "" || a.config.AuthKeyFile != "")
}

func (a *access) whereKey(made bool) string {
	switch {
	case made:
		return filepath.Join(a.data, FirstAdminFile)
	case a.config.AdminKeyFile != "":
		return a.config.AdminKeyFile
	}
	return "KEYWATCH_ADMIN_KEY"
}

// adminKey returns the API key of an administrator: the one that was given, which is valid for ever, or
// one in a file of the data folder, which it makes.
func (a *access) adminKey() (secret string, made bool, ttl time.Duration, err error) {
	text := a.config.AdminKey
	if a.config.AdminKeyFile != "" {
		b, err := os.ReadFile(a.config.AdminKeyFile)
		if err != nil {
			return "", false, 0, fmt.Errorf("admin-key-file: %w", err)
		}
		text = string(b)
	}
	if text = strings.TrimSpace(text); text != "" {
		return text, false, 0, checkAdminKey(text)
	}
	path := filepath.Join(a.data, FirstAdminFile)
	text = auth.NewSecret(auth.Key)
	err = auth.WriteSecret(path, text+"\n")
	if errors.Is(err, fs.ErrExist) { // of a start that ended between the file and its use
		var b []byte
		if b, err = os.ReadFile(path); err == nil {
			text = strings.TrimSpace(string(b))
			err = checkAdminKey(text)
		}
	}
	if err != nil {
		return "", false, 0, fmt.Errorf("make key of the first administrator: %w", err)
	}
	return text, true, firstAdminTTL, nil
}

func checkAdminKey(text string) error {
	if kind, err := auth.CheckSecret(text); err != nil || kind != auth.Key {
		return errors.New("the key of the first administrator is not an API key, as keywatch auth key new prints it")
	}
	return nil
}

// recover makes a new key for an administrator.
func (a *access) recover(ctx context.Context) error {
	if a.data == "" {
		return errors.New("auth-recover: not supported with --memory-only")
	}
	path := filepath.Join(a.data, FirstAdminFile)
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	secret := auth.NewSecret(auth.Key)
	if err := auth.WriteSecret(path, secret+"\n"); err != nil {
		return err
	}
	if err := a.registry.Recover(ctx, secret, firstAdminTTL); err != nil {
		return errors.Join(fmt.Errorf("recover: %w", err), os.Remove(path))
	}
	a.logger.Warn("a new API key for an administrator was made", "user", "admin", "file", path)
	return nil
}

// forget deletes all users, roles and credentials.
func (a *access) forget(ctx context.Context) error {
	if !a.engine.alone() {
		return errors.New("auth-forget: not supported with --peer-listen: each server would have to be restarted without authentication at once")
	}
	var names []string
	for r := range a.engine.state().PrivateRecords() {
		names = append(names, r.Name)
	}
	if err := a.registry.Forget(ctx, names); err != nil {
		return fmt.Errorf("auth-forget: %w", err)
	}
	if a.data != "" {
		if err := os.Remove(filepath.Join(a.data, FirstAdminFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	a.logger.Warn("all users, roles and credentials were deleted: everyone may do everything", "records", len(names))
	return nil
}

// serving returns why no request is answered on account of authentication, nil if they are.
func (a *access) serving() error {
	if a.on {
		if err := a.table.Err(); err != nil {
			return fmt.Errorf("%w: users and credentials cannot be read: see the log", kv.ErrStarting)
		}
		return nil
	}
	if a.table.Used() {
		return auth.ErrUsers
	}
	return nil
}

// furnished returns an error while there is no user at all, so that every credential would be refused for
// good. The server counts as ready all the same: where authentication is turned on server by server, the first
// administrator is made only once most of them have it.
func (a *access) furnished() error {
	if a.on && a.table.Empty() {
		return fmt.Errorf("%w: there is no administrator yet: most servers of the cluster must run with --auth=on", kv.ErrStarting)
	}
	return nil
}

// NewAPIKey draws an API key, which no server knows.
func NewAPIKey() string { return auth.NewSecret(auth.Key) }

// OwnerOnly reports whether only its owner may read a file and, of a file of root that another user reads,
// its group: so systemd and Kubernetes give secrets to a service.
func OwnerOnly(info fs.FileInfo) bool { return auth.OwnerOnly(info) }
