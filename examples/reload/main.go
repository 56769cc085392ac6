// Command reload runs with a configuration that is a key, and takes a new one
// whenever the key changes.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"os/signal"
	"sync/atomic"
	"syscall"

	"keywatch/client"
)

// config is what the program can be told.
type config struct {
	Level   string `json:"level"`
	Workers int    `json:"workers"`
}

// defaults hold as long as there is no key.
var defaults = config{Level: "info", Workers: 1}

func main() {
	server := flag.String("server", client.DefaultEndpoint, "the keywatch server")
	key := flag.String("key", "config/app", "the key with the configuration")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	c, err := client.New(client.Options{Endpoints: []string{*server}})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	var current atomic.Pointer[config] // what the rest of the program reads
	current.Store(&defaults)
	err = follow(ctx, c, *key, func(next *config) {
		current.Store(next)
		fmt.Printf("level=%s workers=%d\n", next.Level, next.Workers)
	})
	if ctx.Err() == nil {
		log.Fatal(err)
	}
}

// follow calls use with each good configuration, until ctx ends. While the
// server is away the last one stays.
func follow(ctx context.Context, c *client.Client, key string, use func(*config)) error {
	found := false // in the state that is coming in
	for e, err := range c.Watch(ctx, client.WatchOptions{Keys: []string{key}, Mode: client.ModeLatest}) {
		switch {
		case err != nil:
			return err
		case e.Type == client.EventReset:
			found = false
		case e.Type == client.EventPut:
			found = true
			next, err := parse(e.Value)
			if err != nil {
				fmt.Printf("version %d of %s is left out: %v\n", e.Version, key, err)
				continue
			}
			use(next)
		case e.Type == client.EventDelete, e.Type == client.EventSynced && !found:
			found = true
			use(&defaults)
		}
	}
	return nil
}

// parse reads a configuration. What it does not say is the default.
func parse(text []byte) (*config, error) {
	next := defaults
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&next); err != nil {
		return nil, err
	}
	if next.Workers < 1 {
		return nil, fmt.Errorf("workers must be at least 1, not %d", next.Workers)
	}
	return &next, nil
}
