package api

import "keywatch/auth"

// A Denial is a command that was refused for the lack of a credential or a permission.
type Denial struct {
	Who       *auth.Caller
	Address   string // for which the command counts
	Operation string
	Target    string // the key or lock that it names; empty if that is not one
	Failure   *Failure
}

// Denied returns err as a failure if it is a denial, else nil.
func Denied(err error) *Failure {
	if err == nil {
		return nil
	}
	if f := FailureOf(err); f.Code == CodeUnauthenticated || f.Code == CodeDenied {
		return f
	}
	return nil
}
