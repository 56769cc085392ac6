package app_test

import (
	"context"
	"fmt"
	"log"
	"strconv"

	"keywatch/app"
	"keywatch/kv"
	"keywatch/watch"
)

// A Go program has the store in its own process: on a folder, or in memory as
// here.
func ExampleOpen() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	db, err := app.Open(ctx, app.Config{MemoryOnly: true})
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()

	first, err := db.Put(ctx, "config/mode", []byte("blue"))
	if err != nil {
		log.Fatal(err)
	}
	// Two want to change it: the second finds that it is too late.
	for _, value := range []string{"green", "red"} {
		r, err := db.CompareAndSwap(ctx, "config/mode", first.Rev, []byte(value))
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(value, r.Outcome == kv.Committed)
	}
	for item, err := range db.List(ctx, "config/") {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(item.Key, item.Entry.Value(), item.Entry.Version)
	}
	for m, err := range db.Watch(ctx, watch.Request{Prefixes: []string{"config/"}}) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%v %q\n", m.Kind, m.Key)
		if m.Kind == watch.Synced {
			break
		}
	}
	// Output:
	// green true
	// red false
	// config/mode green 2
	// reset ""
	// put "config/mode"
	// synced ""
}

// A transaction reads, decides and writes; it runs again when another client was faster.
func ExampleEngine_Update() {
	ctx := context.Background()
	db, err := app.Open(ctx, app.Config{MemoryOnly: true})
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()

	for _, user := range []string{"ann", "bob", "eve"} {
		_, err := db.Update(ctx, func(tx *app.Tx) error {
			free, found, err := tx.Get("seats/free")
			if err != nil {
				return err
			}
			seats, _ := strconv.Atoi(free)
			if !found {
				seats = 2
			}
			if seats == 0 {
				return fmt.Errorf("no seat for %s", user)
			}
			tx.Put("seats/free", []byte(strconv.Itoa(seats-1)))
			tx.Put("seats/"+user, []byte("taken"))
			return nil
		})
		if err != nil {
			fmt.Println(err)
		}
	}

	snap, err := db.Snapshot(ctx) // one revision, however long it is read
	if err != nil {
		log.Fatal(err)
	}
	defer snap.Close()
	for item, err := range snap.List(ctx, "seats/") {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(item.Key, item.Entry.Value())
	}
	// Output:
	// no seat for eve
	// seats/ann taken
	// seats/bob taken
	// seats/free 0
}
