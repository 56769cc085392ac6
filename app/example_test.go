package app_test

import (
	"context"
	"fmt"
	"log"

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
