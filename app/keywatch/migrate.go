package main

import (
	"fmt"
	"time"

	kw "keywatch/client"
)

// migratePoll is how often progress is asked for.
const migratePoll = 500 * time.Millisecond

// migrateCmd moves values to object storage.
type migrateCmd struct{}

// Help is printed by keywatch migrate --help.
func (*migrateCmd) Help() string {
	return `
Moves every value of 64 bytes and more to the server's object storage, and waits
until that is done. Reads and writes go on meanwhile. A value is removed from disk only
after its uploaded copy was read back and verified. When the command is interrupted,
what was moved stays moved; run it again for the rest.

The server needs --object-store, --object-after or --disk-max.

Examples:

    keywatch migrate
    keywatch migrate -o json | jq .moved
`
}

// tiersNow is what the server says of its tiers.
type tiersNow struct {
	Detail struct {
		Tiers struct {
			Memory, Disk, Object struct {
				Keys  int64 `json:"keys"`
				Bytes int64 `json:"bytes"`
			}
		} `json:"tiers"`
		Objects struct {
			Moved      uint64 `json:"moved"`
			MovedBytes int64  `json:"moved_bytes"`
			Segments   int    `json:"segments"`
		} `json:"objects"`
	} `json:"detail"`
}

func (t *tiersNow) fetch(s *session) error {
	got, err := s.kw.Do(s.ctx, &kw.Request{Path: "/v1/status"})
	if err != nil {
		return err
	}
	return decode(got.Body, t)
}

// Run starts the work and shows its progress.
func (*migrateCmd) Run(s *session) error {
	var before, after tiersNow
	if err := before.fetch(s); err != nil {
		return err
	}
	if err := migrate(s, &before); err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	if err := after.fetch(s); err != nil {
		return err
	}
	was, is := &before.Detail.Objects, &after.Detail.Objects
	values, bytes := is.Moved-was.Moved, is.MovedBytes-was.MovedBytes
	if s.json() {
		return s.printValue(map[string]any{"moved": values, "bytes": bytes, "segments": is.Segments})
	}
	return s.printf("moved %d values, %s; %d segments\n", values, sizeText(bytes), is.Segments)
}

// migrate waits for the server, and draws progress meanwhile for people.
func migrate(s *session, before *tiersNow) error {
	done := make(chan error, 1) // the end of the work, sent once
	go func() {
		done <- s.work("/v1/admin/migrate")
	}()
	tiers := &before.Detail.Tiers
	p := s.newProgress(tiers.Memory.Bytes + tiers.Disk.Bytes)
	defer p.end()
	poll := time.NewTicker(migratePoll)
	defer poll.Stop()
	for {
		select {
		case err := <-done:
			return err
		case <-poll.C:
		}
		var now tiersNow
		if p.shown && now.fetch(s) == nil {
			p.n = now.Detail.Objects.MovedBytes - before.Detail.Objects.MovedBytes
			p.draw()
		}
	}
}
