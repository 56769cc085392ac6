// Package bind keeps leases alive for as long as their owners are there, such as
// sockets: what is bound is renewed here, many leases in one log entry, and lives
// for its whole TTL once the last owner has gone.
package bind
