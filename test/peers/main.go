// Command peers loads keywatch over HTTP and, in the same run and on the same
// machine, the peers that people would use instead: Redis with every write
// fsynced, etcd, Consul, and a bare fiber handler as the floor of any HTTP answer. It
// prints the median of several rounds, in which all take turns, and the ratios.
//
// With -locks it takes and releases a lock without contention, one client,
// beside etcd's own recipe for one.
//
// With -cluster it compares three servers that are one store with three etcd: writes, reads at a
// follower, the gap that writers see when the leader is killed or stopped, and what only a cluster has.
//
// With -front it prints, in one table each, what requests reach over HTTP and RESP and what they cost,
// what an idle connection takes, and how long writers wait beside watchers.
//
// With -auth it compares keywatch with authentication and without: requests a second, the memory of
// an idle watcher, reads beside wrong logins, and how long a revocation takes that ends many streams.
//
// With -fanout it compares watchers instead: memory, processor time and latency
// of SSE and WebSocket beside nginx with nchan, Centrifugo, and a bare send loop in C
// as the floor of what any server pays.
//
// It needs wrk, redis-server, redis-benchmark, etcd and consul, or nginx,
// libnginx-mod-nchan, centrifugo and gcc; what is missing is said and left out. Centrifugo
// is had with go install github.com/centrifugal/centrifugo/v6@latest; Consul's module can
// not be installed so, a checkout of it builds with go build. This is a
// module of its own, so that no client library of a peer
// becomes a dependency of keywatch.
package main

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"text/tabwriter"
	"time"
)

type config struct {
	keywatch string
	rounds   int
	seconds  int
	conns    int
	size     int
	keys     int
}

// A contender is one line of the table. run returns a figure in unit: most return operations per
// second.
type contender struct {
	name, unit string
	run        func() (float64, error)
}

// A start begins a server, whose data goes into a folder, and returns what to
// measure of it and what stops it.
type start func(c config, dir string) ([]contender, func(), error)

func main() {
	var c config
	bare := flag.String("bare", "", "serve a bare fiber handler on this address and do nothing else")
	flag.StringVar(&c.keywatch, "keywatch", "bin/keywatch", "the command to measure")
	flag.IntVar(&c.rounds, "rounds", 3, "rounds; the median is printed")
	flag.IntVar(&c.seconds, "seconds", 5, "seconds for each measurement")
	flag.IntVar(&c.conns, "conns", 64, "connections or clients")
	flag.IntVar(&c.size, "size", 128, "bytes in a value")
	flag.IntVar(&c.keys, "keys", 100_000, "different keys")
	fanout := flag.Bool("fanout", false, "compare fan-out with nginx and nchan, with Centrifugo, and with a bare send loop in C, instead")
	locks := flag.Bool("locks", false, "compare locks with etcd's instead")
	front := flag.Bool("front", false, "print every row of what the front door is to reach instead: requests, idle connections, and writers beside watchers")
	cluster := flag.Bool("cluster", false, "compare three servers with three of etcd instead")
	ends := flag.Int("ends", 20, "with -cluster: how often the leader is killed, and stopped")
	joins := flag.Bool("joins", false, "with -cluster: measure only what a server that joins costs")
	watched := flag.Bool("watched", false, "with -cluster: measure only writers beside watchers of followers")
	auth := flag.Bool("auth", false, "compare keywatch with authentication and without instead")
	only := flag.String("only", "", "with -fanout and -auth: only loads whose title holds this")
	flag.Parse()
	if *bare != "" {
		exit(serveBare(*bare, c.size))
		return
	}
	if *fanout {
		exit(compareFanout(c, *only))
		return
	}
	if *front {
		exit(compareFront(c))
		return
	}
	if *auth {
		exit(compareAuth(c, *only))
		return
	}
	if *cluster && *watched {
		exit(compareWatched(c))
		return
	}
	if *cluster {
		exit(compareTeam(c, *ends, *joins))
		return
	}
	starts := []start{startKeywatch, startBare, startRedis, startEtcd, startConsul}
	if *locks {
		starts = []start{startKeywatchLock, startEtcdLock}
	}
	exit(measure(c, starts))
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "peers:", err)
		os.Exit(1)
	}
}

func measure(c config, starts []start) error {
	dir, err := os.MkdirTemp("", "keywatch-peers-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	var contenders []contender
	var stops []func()
	defer func() {
		for _, stop := range stops {
			stop()
		}
	}()
	for _, start := range starts {
		list, stop, err := start(c, dir)
		if err != nil {
			fmt.Fprintln(os.Stderr, "peers: left out:", err)
			continue
		}
		contenders, stops = append(contenders, list...), append(stops, stop)
	}
	results := make(map[string][]float64)
	for round := range c.rounds {
		for _, x := range contenders {
			figure, err := x.run()
			if err != nil {
				return fmt.Errorf("%s: %w", x.name, err)
			}
			fmt.Fprintf(os.Stderr, "round %d: %-48s %10.1f %s\n", round+1, x.name, figure, x.unit)
			results[x.name] = append(results[x.name], figure)
			time.Sleep(200 * time.Millisecond)
		}
	}
	report(contenders, results)
	return nil
}

// report prints medians, and how keywatch compares with each peer.
func report(contenders []contender, results map[string][]float64) {
	median := func(name string) float64 {
		r := slices.Clone(results[name])
		if len(r) == 0 {
			return 0
		}
		slices.Sort(r)
		return r[len(r)/2]
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 4, 2, ' ', 0)
	fmt.Fprintln(w, "what\tmedian\tmin\tmax\tunit")
	for _, x := range contenders {
		r := results[x.name]
		fmt.Fprintf(w, "%s\t%.1f\t%.1f\t%.1f\t%s\n", x.name, median(x.name), slices.Min(r), slices.Max(r), x.unit)
	}
	for _, pair := range [][2]string{
		{nameGet, nameBare}, {namePut, nameRedisSet}, {nameSet, nameRedisSet}, {nameSetDeep, nameRedisDeep},
		{nameRESPGet, nameRedisGet}, {namePut, nameEtcdPut}, {nameGet, nameEtcdGet},
		{namePut, nameConsulPut}, {nameGet, nameConsulGet},
		{nameLock, nameEtcdLock}, {nameTeamPut, nameEtcdTeamPut}, {nameTeamGet, nameEtcdTeamGet},
	} {
		if a, b := median(pair[0]), median(pair[1]); a > 0 && b > 0 {
			fmt.Fprintf(w, "%s / %s\t%.2f\n", pair[0], pair[1], a/b)
		}
	}
	w.Flush()
}
