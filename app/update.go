package app

import (
	"reflect"
	"strings"
	"unicode"
)

// update returns c with what can be changed of it while serving as next has it: Drain and
// Grace. It logs what was changed and what cannot be.
func (c ServeConfig) update(next ServeConfig) ServeConfig {
	next = next.withDefaults()
	var changed, fixed []string
	for _, flag := range differences(reflect.ValueOf(c), reflect.ValueOf(next)) {
		switch flag {
		case "drain":
			c.Drain = next.Drain
		case "grace":
			c.Grace = next.Grace
		default:
			fixed = append(fixed, flag)
			continue
		}
		changed = append(changed, flag)
	}
	c.Logger.Info("configuration read again", "changed", changed)
	if len(fixed) > 0 {
		c.Logger.Warn("cannot be changed without a restart", "flags", fixed)
	}
	return c
}

// differences returns the flags in which two configurations differ.
func differences(a, b reflect.Value) (flags []string) {
	for i := range a.NumField() {
		field := a.Type().Field(i)
		if field.Anonymous {
			flags = append(flags, differences(a.Field(i), b.Field(i))...)
			continue
		}
		if field.IsExported() && field.Tag.Get("kong") != "-" && !reflect.DeepEqual(a.Field(i).Interface(), b.Field(i).Interface()) {
			flags = append(flags, flagOf(field))
		}
	}
	return flags
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
