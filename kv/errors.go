package kv

import "errors"

// What a command or key can be refused for before it is proposed. Nothing was
// changed.
var (
	// ErrBadKey is matched by every *KeyError.
	ErrBadKey = errors.New("bad key")
	// ErrReservedKey is returned when a write names a key under ReservedPrefix.
	ErrReservedKey = errors.New("keys under " + ReservedPrefix + " are changed by lock requests only")
	// ErrValueTooLarge is returned when a value exceeds Limits.Value.
	ErrValueTooLarge = errors.New("value too large")
	// ErrBatchTooLarge is returned when a command exceeds Limits.Ops or Limits.Command.
	ErrBatchTooLarge = errors.New("batch too large")
	// ErrDuplicateKey is returned when a batch writes a key twice.
	ErrDuplicateKey = errors.New("a key is written twice in one request")
	// ErrBadTTL is returned when a TTL is not between MinTTL and MaxTTL.
	ErrBadTTL = errors.New("a TTL must be 1ms to 10 years")
	// ErrBadCommand is returned when a command is malformed in any other way.
	ErrBadCommand = errors.New("malformed command")
)

// What ordering a command can fail with. All but ErrOutcomeUnknown promise that
// the command was not applied and never will be.
var (
	// ErrQueueFull is returned when too many commands wait for the log.
	ErrQueueFull = errors.New("the write queue is full")
	// ErrLevel is returned for a command that a member of the cluster could not apply, because its release is
	// older.
	ErrLevel = errors.New("a member of the cluster runs a release that does not know this operation")
	// ErrNoLeader is returned when no leader is known.
	ErrNoLeader = errors.New("no leader")
	// ErrStarting is returned until the state has caught up with its log.
	ErrStarting = errors.New("starting")
	// ErrStopping is returned once the store has begun to stop.
	ErrStopping = errors.New("stopping")
	// ErrDiskFull is returned when the log has no room left on its disk.
	ErrDiskFull = errors.New("the disk is full")
	// ErrMemoryFull is returned when a bound on memory refuses the command.
	ErrMemoryFull = errors.New("memory is full")
	// ErrContended is returned when other commands have changed what the command was made
	// from, again and again.
	ErrContended = errors.New("the key is written too often")
	// ErrOutcomeUnknown is returned when a command was handed to the log and its
	// fate is not known: the leader was lost, the caller stopped waiting, or the
	// log failed.
	ErrOutcomeUnknown = errors.New("outcome unknown")
)

// What reading can fail with.
var (
	// ErrSnapshotLost is returned when a snapshot was ended because it was too
	// old, because too many were open, or because the state of another server took
	// the place of the one that it shows.
	ErrSnapshotLost = errors.New("snapshot ended")
	// ErrDamaged is matched by every error that reports damaged data.
	ErrDamaged = errors.New("damaged data")
	// ErrNewer is matched by every error that reports data of a format that only later
	// releases know. Such data is whole, and is not to be thrown away.
	ErrNewer = errors.New("written by a later release of keywatch")
)
