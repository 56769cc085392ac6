//go:build unix

package auth

// OwnerOnlyFor is OwnerOnly for a user.
var OwnerOnlyFor = ownerOnly
