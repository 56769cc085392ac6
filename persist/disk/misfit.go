package disk

import "errors"

// What can be wrong with a file that is whole. A *MisfitError matches one of them.
var (
	// ErrMissing: a file is not there that must lie beside the others.
	ErrMissing = errors.New("missing")
	// ErrOutdated: a file is an earlier copy than the files beside it.
	ErrOutdated = errors.New("outdated")
	// ErrForeign: a file belongs to another store, or to another program.
	ErrForeign = errors.New("foreign")
	// ErrNewer: a file was written by a later release.
	ErrNewer = errors.New("newer")
)

// A MisfitError is returned for a file that is not damaged, and that cannot be used
// where it is. Nothing was lost by it, and nothing has been changed: Remedy never
// gives up what the files hold.
type MisfitError struct {
	Kind   error  // ErrMissing, ErrOutdated, ErrForeign or ErrNewer
	File   string // path of the file or folder
	Reason string // continues the file's name: "is missing: ..."
	Remedy string // what an operator can do
}

// Error names file, reason and remedy.
func (e *MisfitError) Error() string { return e.File + " " + e.Reason + "; " + e.Remedy }

// Is makes a MisfitError match its kind.
func (e *MisfitError) Is(target error) bool { return target == e.Kind }

// Newer returns the error for a file that a later release wrote; found and known
// name the formats, such as "format 3" and "format 2".
func Newer(file, found, known string) error {
	return &MisfitError{
		Kind: ErrNewer, File: file,
		Reason: "was written by a later release of keywatch: it has " + found + ", and this release knows " + known,
		Remedy: NewerRemedy,
	}
}

// Remedies that all kinds of files share.
const (
	// ElsewhereRemedy is for a folder that cannot be opened as it is. It keeps the
	// folder, which may hold what no backup has.
	ElsewhereRemedy = "keep this folder, and restore a backup into another one: keywatch restore FILE --data NEWDIR"
	// NewerRemedy is for what a later release wrote.
	NewerRemedy = "nothing was changed: run that release, or a later one"
	// PutBackRemedy is for a file that is not the right one, or not there.
	PutBackRemedy = "put the right file back, or " + ElsewhereRemedy
)
