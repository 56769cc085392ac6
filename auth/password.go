package auth

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"os/exec"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/bcrypt"
)

// Bounds on passwords, in bytes.
const (
	PasswordMin = 12
	PasswordMax = 256
)

// What a new password is hashed with: 19 MiB and 60 ms, because the process promises to stay
// within its memory.
var argonNow = argonParams{memory: 19456, time: 2, threads: 1}

const (
	argonSalt = 16
	argonKey  = 32
	// What an imported hash may ask for at most.
	argonMemoryMax  = 256 << 10 // KiB
	argonTimeMax    = 16
	argonThreadsMax = 8
	bcryptCostMax   = 14
	// loginsWaiting bounds the logins that wait for their turn.
	loginsWaiting = 32
)

var (
	// ErrBadPassword is returned for a password of a length that is not allowed.
	ErrBadPassword = fmt.Errorf("a password must have %d to %d bytes", PasswordMin, PasswordMax)
	// ErrBadHash is returned when a text is not the hash of a password.
	ErrBadHash = errors.New("malformed password hash: expected one of argon2id or bcrypt")
	// ErrLoginBusy is returned when too many logins wait for their turn.
	ErrLoginBusy = fmt.Errorf("too many logins at once: at most %d wait for their turn, which is fixed", loginsWaiting)
	// ErrLoginLate is returned when the request ended before a password was hashed. Nothing was done.
	ErrLoginLate = errors.New("no password could be checked in time, and nothing was done: too many logins wait, or the process that hashes passwords hangs")
)

// argonParams are what argon2id is given: memory in KiB, passes, threads.
type argonParams struct {
	memory, time uint32
	threads      uint8
}

// A passwordHash is a text of the form $argon2id$v=19$m=19456,t=2,p=1$salt$hash, or one of bcrypt.
type passwordHash struct {
	params    argonParams
	salt, key []byte
	bcrypt    string // the whole text, if it is one of bcrypt
}

// parseHash reads the text of a hash. It fails with ErrBadHash.
func parseHash(text string) (h passwordHash, err error) {
	if strings.HasPrefix(text, "$2") {
		cost, err := bcrypt.Cost([]byte(text))
		if err != nil || cost > bcryptCostMax || len(text) != 60 {
			return h, ErrBadHash
		}
		return passwordHash{bcrypt: text}, nil
	}
	parts := strings.Split(text, "$")
	if len(parts) != 6 || parts[0] != "" || parts[1] != "argon2id" || parts[2] != "v=19" {
		return h, ErrBadHash
	}
	p := &h.params
	n, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &p.memory, &p.time, &p.threads)
	if err != nil || n != 3 || parts[3] != p.String() {
		return h, ErrBadHash
	}
	if p.memory < 8*uint32(p.threads) || p.memory > argonMemoryMax || p.time < 1 || p.time > argonTimeMax || p.threads < 1 || p.threads > argonThreadsMax {
		return h, ErrBadHash
	}
	h.salt, err = base64.RawStdEncoding.Strict().DecodeString(parts[4])
	if err == nil {
		h.key, err = base64.RawStdEncoding.Strict().DecodeString(parts[5])
	}
	if err != nil || len(h.salt) < 8 || len(h.salt) > 64 || len(h.key) < 16 || len(h.key) > 64 {
		return h, ErrBadHash
	}
	return h, nil
}

// CheckHash returns nil if text is the hash of a password that can be imported, else ErrBadHash.
func CheckHash(text string) error {
	_, err := parseHash(text)
	return err
}

func (p argonParams) String() string {
	return fmt.Sprintf("m=%d,t=%d,p=%d", p.memory, p.time, p.threads)
}

func (h passwordHash) String() string {
	if h.bcrypt != "" {
		return h.bcrypt
	}
	enc := base64.RawStdEncoding
	return "$argon2id$v=19$" + h.params.String() + "$" + enc.EncodeToString(h.salt) + "$" + enc.EncodeToString(h.key)
}

// stale reports whether a hash is weaker than new ones are.
func (h passwordHash) stale() bool { return h.bcrypt != "" || h.params != argonNow }

// dummy is what a password is compared with where there is no user: nothing matches it.
var dummy = passwordHash{params: argonNow, salt: make([]byte, argonSalt), key: make([]byte, argonKey)}

// Passwords hashes passwords, one at a time. It is safe for concurrent use.
type Passwords struct {
	// turn has a place for the one that hashes, who alone may use process.
	turn    chan struct{}
	waiting atomic.Int64
	hashed  atomic.Uint64
	process *hashProcess // nil if this process hashes
	logger  *slog.Logger
	// failed says that the last hash was not made by process although it should have been.
	failed atomic.Bool
	// idle ends process once nothing was hashed for hashIdle.
	idle *time.Timer
}

// hashIdle is how long the process that hashes waits for the next password.
const hashIdle = time.Minute

// NewPasswords returns one that is ready.
func NewPasswords() *Passwords { return &Passwords{turn: make(chan struct{}, 1)} }

// UseProcess has passwords be hashed by a process that command starts and that runs ServeHashes. It is
// started for the first of them and ends a minute after the last, or with Close. Where it cannot be
// started this process hashes, and logger is told once. It must be called before the first use.
func (p *Passwords) UseProcess(command func() *exec.Cmd, logger *slog.Logger) {
	p.process, p.logger = &hashProcess{command: command}, logger
	p.idle = time.AfterFunc(hashIdle, p.endIdle)
}

func (p *Passwords) endIdle() {
	select {
	case p.turn <- struct{}{}:
		p.process.end()
		<-p.turn
	default: // who has the turn sets the timer again
	}
}

// Close ends the process that hashes, if there is one. It waits for the hash that is under way.
// Passwords that come later are hashed by a process too, which ends as soon.
func (p *Passwords) Close() {
	if p.process == nil {
		return
	}
	p.turn <- struct{}{}
	p.idle.Stop()
	p.process.end()
	<-p.turn
}

// Hashed returns how many hashes were made.
func (p *Passwords) Hashed() uint64 { return p.hashed.Load() }

// Apart reports whether hashes are made by a process of their own.
func (p *Passwords) Apart() bool { return p.process != nil && !p.failed.Load() }

// Waiting returns how many requests wait for a hash, or have their turn.
func (p *Passwords) Waiting() int { return int(p.waiting.Load()) }

// take waits for a turn. It fails with ErrLoginBusy or ErrLoginLate.
func (p *Passwords) take(ctx context.Context) error {
	if p.waiting.Add(1) > loginsWaiting+1 {
		p.waiting.Add(-1)
		return ErrLoginBusy
	}
	select {
	case p.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		p.waiting.Add(-1)
		return ErrLoginLate
	}
}

func (p *Passwords) give() {
	if p.process != nil {
		p.idle.Reset(hashIdle)
	}
	<-p.turn
	p.waiting.Add(-1)
}

// run does a job: in the process for it, else here. It fails with ErrLoginLate once ctx ends.
func (p *Passwords) run(ctx context.Context, j *hashJob) (hashResult, error) {
	if p.process == nil {
		return j.run(), nil
	}
	r, err := p.process.run(ctx, j)
	if err != nil && ctx.Err() != nil {
		return r, ErrLoginLate
	}
	failed := p.failed.Swap(err != nil)
	if err == nil {
		if failed {
			p.logger.Info("passwords are hashed by a process of their own again")
		}
		return r, nil
	}
	if !failed {
		p.logger.Warn("passwords are hashed within this process, where reads and writes wait behind them", "err", err)
	}
	return j.run(), nil
}

func (p *Passwords) argon(ctx context.Context, password string, params argonParams, salt []byte, size int) ([]byte, error) {
	p.hashed.Add(1)
	r, err := p.run(ctx, argonJob(password, params, salt, size))
	return r.Key, err
}

// Hash returns the text of the hash of a new password. It fails with ErrBadPassword,
// ErrLoginBusy or ErrLoginLate.
func (p *Passwords) Hash(ctx context.Context, password string) (string, error) {
	if len(password) < PasswordMin || len(password) > PasswordMax {
		return "", ErrBadPassword
	}
	if err := p.take(ctx); err != nil {
		return "", err
	}
	defer p.give()
	return p.hash(ctx, password)
}

func (p *Passwords) hash(ctx context.Context, password string) (text string, err error) {
	h := passwordHash{params: argonNow, salt: make([]byte, argonSalt)}
	rand.Read(h.salt) // never fails
	if h.key, err = p.argon(ctx, password, h.params, h.salt, argonKey); err != nil {
		return "", err
	}
	return h.String(), nil
}

// Verify reports whether password is the one that a text of Hash, or an imported one, was made
// of; with an empty text it is not. It takes as long whatever the text. fresh, if not empty, is to
// take the place of text, which is weaker than new ones. It fails with ErrLoginBusy or ErrLoginLate.
func (p *Passwords) Verify(ctx context.Context, text, password string) (ok bool, fresh string, err error) {
	if err := p.take(ctx); err != nil {
		return false, "", err
	}
	defer p.give()
	h, err := parseHash(text)
	known := err == nil && len(password) <= PasswordMax
	switch {
	case !known:
		_, err := p.matches(ctx, dummy, password[:min(len(password), PasswordMax)])
		return false, "", err
	case h.bcrypt != "":
		return p.verifyBcrypt(ctx, h.bcrypt, password)
	}
	ok, err = p.matches(ctx, h, password)
	if ok && h.stale() {
		fresh, err = p.hash(ctx, password)
	}
	return ok, fresh, err
}

// verifyBcrypt is Verify for a hash of bcrypt. A fresh one is made in either case, so that the time it
// takes tells nothing.
func (p *Passwords) verifyBcrypt(ctx context.Context, text, password string) (ok bool, fresh string, err error) {
	r, err := p.run(ctx, bcryptJob(password, text))
	if err == nil {
		fresh, err = p.hash(ctx, password)
	}
	if err != nil || !r.Same {
		return false, "", err
	}
	return true, fresh, nil
}

func (p *Passwords) matches(ctx context.Context, h passwordHash, password string) (bool, error) {
	key, err := p.argon(ctx, password, h.params, h.salt, len(h.key))
	return err == nil && subtle.ConstantTimeCompare(key, h.key) == 1, err
}
