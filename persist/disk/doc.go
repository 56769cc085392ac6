// Package disk is what everything that persists shares: the part of a file system
// that it uses (FS), the ownership of a data folder (LockDir), marks in it (Mark),
// and the error for what can no longer be read (DamageError).
package disk
