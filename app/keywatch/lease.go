package main

import (
	"fmt"
	"time"

	kw "keywatch/client"
)

// leaseCmd has the commands about leases.
type leaseCmd struct {
	Grant     leaseGrantCmd  `cmd:"" help:"Ask for a lease and print its id."`
	Keepalive leaseKeepCmd   `cmd:"" help:"Renew a lease, once or until interrupted."`
	Show      leaseShowCmd   `cmd:"" help:"Print how long a lease has left, and how many keys it has."`
	Revoke    leaseRevokeCmd `cmd:"" help:"End a lease; its keys are deleted."`
}

// Help is printed by keywatch lease --help.
func (*leaseCmd) Help() string {
	return `
A lease ends when it is not kept alive. The keys that are attached to it are deleted
then, in one revision. Exits with 3 if there is no such lease.

Examples:

    id=$(keywatch lease grant 30s)
    keywatch put services/web-1 10.0.0.7:80 --lease=$id
    keywatch lease keepalive --forever $id
    keywatch lease show $id
    keywatch lease revoke $id
`
}

// leaseGrantCmd grants.
type leaseGrantCmd struct {
	TTL time.Duration `arg:"" name:"ttl" help:"How long the lease lives without being renewed, such as 30s."`
}

// Run prints the id alone, so that a script can take it.
func (c *leaseGrantCmd) Run(s *session) error {
	if c.TTL <= 0 {
		return usagef("the time to live must be more than 0")
	}
	info, err := s.kw.GrantLease(s.ctx, c.TTL)
	if err != nil {
		return err
	}
	if s.json() {
		return s.printJSON(info.Raw)
	}
	return s.printf("%s\n", info.ID)
}

// leaseKeepCmd renews.
type leaseKeepCmd struct {
	Forever bool   `help:"Renew each third of the time to live, until interrupted."`
	ID      string `arg:"" help:"The lease."`
}

// Run renews, and with --forever ends when it is interrupted or the lease has
// ended.
func (c *leaseKeepCmd) Run(s *session) error {
	if !c.Forever {
		info, err := s.kw.KeepLeaseAlive(s.ctx, kw.LeaseID(c.ID))
		return s.printLease(info, err)
	}
	lease, err := s.kw.KeepLease(s.ctx, kw.LeaseID(c.ID))
	if err != nil {
		return interrupted(s, err)
	}
	defer lease.Close()
	select {
	case <-s.ctx.Done():
		return nil
	case <-lease.Done():
		return lease.Err()
	}
}

// leaseShowCmd shows.
type leaseShowCmd struct {
	ID string `arg:"" help:"The lease."`
}

// Run prints what the server says of the lease.
func (c *leaseShowCmd) Run(s *session) error {
	info, err := s.kw.LeaseInfo(s.ctx, kw.LeaseID(c.ID))
	if err != nil || s.json() {
		return s.printLease(info, err)
	}
	var shown struct {
		Remaining int64 `json:"remaining_ms"`
		Keys      int   `json:"keys"`
	}
	if err := decode(info.Raw, &shown); err != nil {
		return err
	}
	left := time.Duration(shown.Remaining) * time.Millisecond
	return s.printf("%s left=%v ttl=%v keys=%d\n", info.ID, left, info.TTL, shown.Keys)
}

func (s *session) printLease(info kw.LeaseInfo, err error) error {
	switch {
	case err != nil:
		return err
	case s.json():
		return s.printJSON(info.Raw)
	}
	return s.printf("%s ttl=%v\n", info.ID, info.TTL)
}

// leaseRevokeCmd ends.
type leaseRevokeCmd struct {
	ID string `arg:"" help:"The lease."`
	writeFlags
}

// Run ends the lease.
func (c *leaseRevokeCmd) Run(s *session) error {
	opts, err := c.options()
	if err != nil {
		return err
	}
	if err := s.kw.RevokeLease(s.ctx, kw.LeaseID(c.ID), opts...); err != nil {
		return fmt.Errorf("revoke: %w", err)
	}
	if s.json() {
		return s.printValue(map[string]bool{"revoked": true})
	}
	return s.printf("revoked\n")
}
