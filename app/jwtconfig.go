package app

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"keywatch/auth/jwt"
	"keywatch/ratelimit"
)

// A JWTConfig says whose JSON Web Tokens are accepted beside the store's own credentials. The zero value is for
// none. The tags are for the command line.
type JWTConfig struct {
	JWTKeys       string `name:"jwt-keys" help:"Accept JSON Web Tokens that these keys have signed, beside API keys and sessions: a file with a JSON Web Key Set or public keys in PEM, which is read again every 10 s and at SIGHUP, or the https URL of a JSON Web Key Set, which is read every 5 minutes. Each server of a cluster needs the flag." placeholder:"FILE|URL" group:"Access"`
	JWTIssuer     string `name:"jwt-issuer" help:"Issuer that a token must name in its claim iss." placeholder:"TEXT" group:"Access"`
	JWTAudience   string `name:"jwt-audience" help:"Audience that a token must name in its claim aud." placeholder:"TEXT" group:"Access"`
	JWTUserClaim  string `name:"jwt-user-claim" help:"Claim of a token with the name of its user, which no user of this store may have." default:"sub" placeholder:"CLAIM" group:"Access"`
	JWTRolesClaim string `name:"jwt-roles-claim" help:"Claim of a token that names roles of this store: an array, or a text with spaces between them." default:"roles" placeholder:"CLAIM" group:"Access"`

	// JWTFailures bounds the tokens of one address with wrong signatures; the default is that of
	// ServeConfig.LoginRateAddress.
	JWTFailures ratelimit.Rate `kong:"-"`
}

func (c JWTConfig) withDefaults() JWTConfig {
	orDefault(&c.JWTUserClaim, "sub")
	orDefault(&c.JWTRolesClaim, "roles")
	return c
}

// on reports whether tokens are accepted.
func (c *JWTConfig) on() bool { return c.JWTKeys != "" }

// validate returns an error that names the first field that cannot be used. It reads nothing.
func (c JWTConfig) validate() error {
	standard := JWTConfig{}.withDefaults()
	if !c.on() {
		for _, f := range []struct {
			set  bool
			name string
		}{
			{c.JWTIssuer != "", "jwt-issuer"}, {c.JWTAudience != "", "jwt-audience"},
			{c.JWTUserClaim != standard.JWTUserClaim, "jwt-user-claim"}, {c.JWTRolesClaim != standard.JWTRolesClaim, "jwt-roles-claim"},
		} {
			if f.set {
				return fmt.Errorf("jwt-keys: required with --%s, the keys that tokens are verified with", f.name)
			}
		}
		return nil
	}
	if err := jwt.CheckSource(c.JWTKeys); err != nil {
		return fmt.Errorf("jwt-keys: %w", err)
	}
	switch {
	case c.JWTIssuer == "":
		return errors.New("jwt-issuer: required with --jwt-keys, the issuer of the tokens")
	case c.JWTAudience == "":
		return errors.New("jwt-audience: required with --jwt-keys: a token for another service must not be accepted here")
	}
	return nil
}

// jwtWait is how long a start waits for keys that have a URL.
const jwtWait = 5 * time.Second

// newTokens returns the keys that JWTs are verified with, which are not read yet; nil for none.
func (a *access) newTokens() *jwt.Keys {
	c := &a.config.JWT
	if !c.on() {
		return nil
	}
	return jwt.New(jwt.Options{
		Source: c.JWTKeys, Issuer: c.JWTIssuer, Audience: c.JWTAudience, UserClaim: c.JWTUserClaim, RolesClaim: c.JWTRolesClaim,
		Failures: c.JWTFailures, Logger: a.logger,
		Changed: func(ids []string) { a.table.SetSigners(ids) },
	})
}

// loadTokens reads the keys of JWTs first. A file must be there; what has a URL may not be up yet.
func (a *access) loadTokens(ctx context.Context) error {
	if a.tokens == nil {
		return nil
	}
	if !jwt.IsURL(a.config.JWT.JWTKeys) {
		if err := a.tokens.Load(ctx); err != nil {
			return fmt.Errorf("jwt-keys: %w", err)
		}
		return nil
	}
	limited, cancel := context.WithTimeout(ctx, jwtWait)
	defer cancel()
	if err := a.tokens.Load(limited); err != nil {
		a.logger.Error("no JWT is accepted until their keys can be read", "err", err)
	}
	return ctx.Err()
}

// unused says that no JWT is looked at.
func (a *access) unused() {
	if a.tokens != nil {
		a.logger.Warn("--jwt-keys has no effect: the store has no users yet, and the server asks no caller for a credential; see --auth")
	}
}

// reloadTokens has the keys of JWTs be read again.
func (a *access) reloadTokens() {
	if a.on && a.tokens != nil {
		a.tokens.Reload()
	}
}

// registerTokens adds the figures of the keys of JWTs to a registry.
func (a *access) registerTokens(registry *prometheus.Registry) {
	if a.on && a.tokens != nil {
		registry.MustRegister(a.tokens)
	}
}

// prepareJWT returns why the keys of JWTs cannot be used, as far as that is known before any data is touched.
func (c *ServeConfig) prepareJWT() error {
	if !c.JWT.on() {
		return nil
	}
	if err := jwt.Check(c.JWT.JWTKeys); err != nil {
		return fmt.Errorf("jwt-keys: %w", err)
	}
	rate, err := c.loginRate()
	c.JWT.JWTFailures = rate.Address
	return err
}
