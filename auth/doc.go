// Package auth says who a caller is and what it may do.
//
// A caller proves itself with a credential: an API key, a session, a ticket, a client certificate
// or, for those that have none, nothing at all. A credential belongs to a user, a user has roles,
// and a role has grants: verbs on keys, trees and prefixes. There are allow rules only, and what
// no rule allows is denied.
//
// Users, roles and credentials are private records of package kv: they go through the log that
// the keys go through, and no key, list, watch or event shows them. Each is sealed with
// AES-256-GCM under the name of its record, so neither disk, log, backup nor another server's
// memory dump of the state tells them.
//
// A [Table] is what one server knows of them, and is told of each change before anything of the
// same log entry is visible. A [Door] is the only way to the store and to the hub: it hands out a
// [View] for one caller, which checks before it reads, and again before it hands out what it read.
package auth
