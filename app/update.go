package app

import (
	"iter"
	"net"
	"reflect"
	"slices"
	"strings"
	"unicode"

	"keywatch/kv/trace"
	"keywatch/ratelimit"
	"keywatch/web"
)

// live are the parts of a server that has started, as far as their settings can be changed.
type live struct {
	addr    net.Addr // at which requests are answered
	server  *web.Server
	ops     *ops
	engine  *Engine
	limiter *ratelimit.Limiter
	budget  *ratelimit.Budget
	tracer  *trace.Tracer // nil if no requests are sampled
	certs   *certKeeper   // nil for clear text
}

// changeable are the flags whose values can be changed while serving.
var changeable = []string{
	"allow-host", "allow-origin", "trusted-proxy", "rate-limit", "client-memory", "client-memory-per-caller", "max-backups",
	"max-queue", "checkpoint-bytes", "checkpoint-every", "object-after", "disk-max", "otlp-ratio", "drain", "grace",
}

// Changeable returns the flags of a server whose values ServeConfig.Updates can change.
func Changeable() []string { return slices.Clone(changeable) }

// update returns c with what can be changed of it while serving as next has it, and has that be in
// force. It logs what was changed and what cannot be. If something cannot be used nothing is changed.
// The files of the certificate and of the keys of JWTs are read again, whatever next is.
func (l *live) update(c, next ServeConfig) ServeConfig {
	l.certs.reload()
	l.engine.access.reloadTokens()
	var changed, fixed []string
	// What others follow by default cannot be changed, so they do not either.
	if next.withDefaults().MemoryMax != c.MemoryMax {
		fixed, next.MemoryMax = append(fixed, "memory-max"), c.MemoryMax
	}
	next = next.withDefaults()
	next.Peers.advertise(c.TLS.Scheme(), l.addr)
	from, to := reflect.ValueOf(&c).Elem(), reflect.ValueOf(&next).Elem()
	was := c
	for field := range differences(from, to) {
		if !l.changes(field.flag) {
			fixed = append(fixed, field.flag)
			continue
		}
		field.a.Set(field.b)
		changed = append(changed, field.flag)
	}
	if err := l.apply(&c, changed); err != nil {
		c.Logger.Error("the configuration cannot be used; nothing was changed", "err", err)
		return was
	}
	c.Logger.Info("configuration read again", "changed", changed)
	if len(fixed) > 0 {
		c.Logger.Warn("cannot be changed without a restart", "flags", fixed)
	}
	return c
}

// changes reports whether the value of a flag can be changed.
func (l *live) changes(flag string) bool {
	switch flag {
	case "object-after", "disk-max":
		return l.engine.objects != nil
	case "otlp-ratio":
		return l.tracer != nil
	}
	return slices.Contains(changeable, flag)
}

// apply has c be in force, of which flags were changed, or nothing of it if something cannot be used.
func (l *live) apply(c *ServeConfig, flags []string) error {
	if err := c.Validate(); err != nil {
		return err
	}
	proxies, err := c.proxies()
	if err != nil {
		return err
	}
	rates, err := ratelimit.ParseRates(c.RateLimit)
	if err != nil {
		return err
	}
	if err := l.server.Change(web.Settings{AllowHost: c.AllowHost, AllowOrigin: c.AllowOrigin, TrustedProxy: proxies, MaxBackups: c.MaxBackups}); err != nil {
		return err
	}
	if err := l.ops.allowHosts(c.AllowHost); err != nil {
		return err
	}
	if slices.Contains(flags, "rate-limit") { // callers get full buckets
		l.limiter.Change(rates)
	}
	l.budget.Change(int64(c.ClientMemory), int64(c.ClientMemoryPerCaller))
	if l.tracer != nil {
		l.tracer.SetRatio(c.Traces.OTLPRatio)
	}
	l.engine.tune(&c.Config)
	return nil
}

// A difference is a flag whose value two configurations have in a and b.
type difference struct {
	flag string
	a, b reflect.Value
}

// differences ranges over the flags in which two configurations differ.
func differences(a, b reflect.Value) iter.Seq[difference] {
	return func(yield func(difference) bool) {
		for i := range a.NumField() {
			field := a.Type().Field(i)
			_, group := field.Tag.Lookup("embed")
			switch {
			case group:
				for d := range differences(a.Field(i), b.Field(i)) {
					if !yield(d) {
						return
					}
				}
			case field.IsExported() && field.Tag.Get("kong") != "-" && !reflect.DeepEqual(a.Field(i).Interface(), b.Field(i).Interface()):
				if !yield(difference{flagOf(field), a.Field(i), b.Field(i)}) {
					return
				}
			}
		}
	}
}

// flagOf returns the name of a field's flag, as the command line has it.
func flagOf(field reflect.StructField) string {
	if name := field.Tag.Get("name"); name != "" {
		return name
	}
	var b strings.Builder
	for i, r := range field.Name {
		if unicode.IsUpper(r) && i > 0 {
			b.WriteByte('-')
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}
