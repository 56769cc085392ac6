package client_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"keywatch/app"
	"keywatch/client"
)

// example starts a server for an example and returns a client of it.
func example() (c *client.Client, stop func()) {
	url, stopServer, err := start(app.ServeConfig{Config: app.Config{MemoryOnly: true}, Listen: "127.0.0.1:0"})
	if err != nil {
		log.Fatal(err)
	}
	c, err = client.New(client.Options{Endpoints: []string{url}})
	if err != nil {
		log.Fatal(err)
	}
	return c, func() {
		c.Close()
		_ = stopServer()
	}
}

func Example() {
	c, stop := example() // client.New(client.Options{})
	defer stop()
	ctx := context.Background()

	put, err := c.Put(ctx, "config/app", []byte("v1"))
	if err != nil {
		log.Fatal(err)
	}
	_, err = c.CompareAndSwap(ctx, "config/app", client.IfRev(put.Rev), []byte("v2"))
	fmt.Println("first swap:", err)

	_, err = c.CompareAndSwap(ctx, "config/app", client.IfRev(put.Rev), []byte("v3"))
	var refused *client.Error
	if errors.As(err, &refused) && errors.Is(err, client.ErrConflict) {
		fmt.Printf("second swap: it is %s by now\n", refused.Current.Value)
	}
	// Output:
	// first swap: <nil>
	// second swap: it is v2 by now
}

func ExampleClient_Batch() {
	c, stop := example()
	defer stop()
	ctx := context.Background()
	_, _ = c.Put(ctx, "jobs/7", []byte("pending"))

	result, err := c.Batch(ctx, client.Batch{
		Checks: []client.Check{client.CheckValue("jobs/7", []byte("pending"))},
		Ops: []client.Op{
			client.OpPut("jobs/7", []byte("running"), client.TTL(time.Minute)),
			client.OpPut("running/7", nil),
		},
	})
	fmt.Println(result.Committed, result.Results[0].Written.Version, err)
	// Output: true 2 <nil>
}

func ExampleClient_Watch() {
	c, stop := example()
	defer stop()
	ctx := context.Background()
	_, _ = c.Put(ctx, "sensors/1", []byte("21.5"))

	for e, err := range c.Watch(ctx, client.WatchOptions{Prefixes: []string{"sensors/"}}) {
		if err != nil {
			log.Fatal(err)
		}
		switch e.Type {
		case client.EventPut:
			fmt.Printf("%s is %s\n", e.Key, e.Value)
		case client.EventSynced: // that was the state; from here on it is live
			_, _ = c.Delete(ctx, "sensors/1")
		case client.EventDelete:
			fmt.Printf("%s is gone: %s\n", e.Key, e.Cause)
			return
		}
	}
	// Output:
	// sensors/1 is 21.5
	// sensors/1 is gone: deleted
}

func ExampleClient_Mirror() {
	c, stop := example()
	defer stop()
	ctx := context.Background()
	_, _ = c.Put(ctx, "flags/dark", []byte("on"))

	changed := make(chan client.Change, 8)
	m := c.Mirror(client.MirrorOptions{Prefixes: []string{"flags/"}, OnChange: func(changes []client.Change) {
		for _, change := range changes {
			changed <- change
		}
	}})
	defer m.Close()
	if err := m.Synced(ctx); err != nil {
		log.Fatal(err)
	}
	flag, _ := m.Get("flags/dark")
	fmt.Printf("%d flag, dark is %s\n", m.Len(), flag.Value)
	<-changed

	_, _ = c.Put(ctx, "flags/dark", []byte("off"))
	change := <-changed
	fmt.Printf("%s: %s, then %s\n", change.Key, change.Old.Value, change.New.Value)
	// Output:
	// 1 flag, dark is on
	// flags/dark: on, then off
}

func ExampleClient_Lock() {
	c, stop := example()
	defer stop()
	ctx := context.Background()

	lock, err := c.Lock(ctx, "deploy", client.LockOptions{Owner: "me"})
	if err != nil {
		log.Fatal(err)
	}
	defer lock.Unlock(ctx)

	// Work under the lock stops when the lock is lost, and what it writes is
	// refused then.
	work, cancel := lock.Context(ctx)
	defer cancel()
	_, err = lock.Put(work, "app/version", []byte("v2"))
	fmt.Println("written:", err)

	_, err = c.TryLock(ctx, "deploy", client.LockOptions{})
	fmt.Println("another:", errors.Is(err, client.ErrLockHeld))
	// Output:
	// written: <nil>
	// another: true
}

func ExampleClient_Election() {
	c, stop := example()
	defer stop()
	ctx := context.Background()

	election := c.Election("scheduler", 10*time.Second)
	lead, err := election.Campaign(ctx, "10.0.0.7:8080")
	if err != nil {
		log.Fatal(err)
	}
	leader, err := election.Leader(ctx)
	fmt.Println(leader.Value, leader.Token == lead.Token(), err)
	fmt.Println(lead.Resign(ctx))
	// Output:
	// 10.0.0.7:8080 true <nil>
	// <nil>
}

func ExampleClient_Grant() {
	c, stop := example()
	defer stop()
	ctx := context.Background()

	lease, err := c.Grant(ctx, 10*time.Second) // kept alive until it is closed
	if err != nil {
		log.Fatal(err)
	}
	_, _ = c.Put(ctx, "services/web-1", []byte("10.0.0.7:80"), client.OnLease(lease.ID()))
	fmt.Println(lease.Revoke(ctx))
	_, err = c.Get(ctx, "services/web-1")
	fmt.Println(errors.Is(err, client.ErrNotFound))
	// Output:
	// <nil>
	// true
}
