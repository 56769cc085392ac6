package kv

// A Form is how a command is laid out in an entry of the log. Releases that do not know a form refuse
// an entry that has one, which its version says; an entry without is as it always was, so that they can read it.
type Form uint8

const (
	plainForm Form = iota
	// extendedForm has parts, reads, or operations and checks that plainForm has not.
	extendedForm
	// sinceForm is extendedForm with a CheckUnchanged.
	sinceForm
)

// version returns the version of an entry of commands up to f, grouped that of one with groups.
func (f Form) version() byte {
	return [...]byte{entryVersion, extendedVersion, sinceVersion}[f]
}

func (f Form) grouped() byte {
	return [...]byte{groupedVersion, extendedGrouped, sinceGrouped}[f]
}

// formOf returns the form of a kind of command.
func formOf(kind byte) Form {
	switch kind {
	case commandExtended:
		return extendedForm
	case commandSince:
		return sinceForm
	}
	return plainForm
}

// isCommand reports whether a kind is that of a command of clients.
func isCommand(kind byte) bool {
	switch kind {
	case commandBatch, commandPrefix, commandLease, commandLock, commandExtended, commandSince:
		return true
	}
	return false
}

// form returns the first form in which c can be written.
func (c *Command) form() (f Form) {
	if c.Parts != nil || len(c.Reads) > 0 {
		f = extendedForm
	}
	f = max(f, formOfChecks(c.Checks))
	for i := range c.Parts {
		f = max(f, formOfChecks(c.Parts[i].Checks))
	}
	for _, ops := range [2][]Op{c.Ops, c.Else} {
		for i := range ops {
			if op := &ops[i]; op.Kind > OpGet || op.At != 0 || op.KeepLease {
				f = max(f, extendedForm)
			}
		}
	}
	return f
}

func formOfChecks(checks []Check) (f Form) {
	for i := range checks {
		f = max(f, checks[i].form())
	}
	return f
}

func (k *Check) form() Form {
	switch k.Kind {
	case CheckValueNot:
		return extendedForm
	case CheckUnchanged:
		return sinceForm
	}
	return plainForm
}
