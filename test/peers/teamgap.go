package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// others returns the members but for one.
func (t *team) others(but *member) (list []*member) {
	for _, m := range t.members {
		if m != but {
			list = append(list, m)
		}
	}
	return list
}

// A writing begins writing to a member: it returns what writes once, and what ends it.
type writing func(m *member) (write func(context.Context) error, end func(), err error)

// writeTime is when a writer gives up and writes again: etcd holds what a leader took with it for
// seven seconds.
const writeTime = time.Second

// gapOf has one writer at each member write all the time while strike runs, and returns the longest
// time in which none of them was answered.
func gapOf(members []*member, begin writing, strike func()) (time.Duration, error) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var mu sync.Mutex
	var beats []time.Time
	var running sync.WaitGroup
	for _, m := range members {
		write, end, err := begin(m)
		if err != nil {
			return 0, err
		}
		running.Go(func() {
			defer end()
			for ctx.Err() == nil {
				limited, stop := context.WithTimeout(ctx, writeTime)
				if write(limited) == nil {
					mu.Lock()
					beats = append(beats, time.Now())
					mu.Unlock()
				}
				stop()
				time.Sleep(time.Millisecond)
			}
		})
	}
	time.Sleep(settle)
	struck := time.Now()
	strike()
	time.Sleep(5 * electionMS * time.Millisecond)
	cancel()
	running.Wait()
	gap := time.Duration(0)
	slices.SortFunc(beats, time.Time.Compare)
	for i := 1; i < len(beats); i++ {
		if beats[i].After(struck) {
			gap = max(gap, beats[i].Sub(beats[i-1]))
		}
	}
	if len(beats) == 0 || beats[len(beats)-1].Before(struck.Add(electionMS*time.Millisecond)) {
		return 0, fmt.Errorf("no write was answered any more")
	}
	return gap, nil
}

// httpWrite returns what writes to one keywatch.
func httpWrite(m *member) (func(context.Context) error, func(), error) {
	client := &http.Client{Transport: &http.Transport{}}
	return func(ctx context.Context) error {
		req, err := http.NewRequestWithContext(ctx, http.MethodPut, m.url+"/v1/kv/gap/"+m.name, strings.NewReader("x"))
		if err != nil {
			return err
		}
		resp, err := client.Do(req)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if resp.StatusCode/100 != 2 {
			return fmt.Errorf("%s", resp.Status)
		}
		return nil
	}, client.CloseIdleConnections, nil
}

// gaps ends the leader again and again and returns how long writers at the others had no answer.
func (t *team) gaps(times int, sig syscall.Signal) (gaps []time.Duration, err error) {
	for range times {
		leader := t.leader()
		if leader == nil {
			return gaps, fmt.Errorf("no leader")
		}
		gap, err := gapOf(t.others(leader), httpWrite, func() { leader.cmd.Process.Signal(sig) })
		if err != nil {
			return gaps, err
		}
		gaps = append(gaps, gap)
		leader.cmd.Wait()
		if err := leader.start(); err != nil {
			return gaps, err
		}
		if err := t.await(); err != nil {
			return gaps, err
		}
		time.Sleep(settle)
	}
	return gaps, nil
}

// show prints the quantiles of durations.
func show(what string, all []time.Duration) {
	if len(all) == 0 {
		return
	}
	slices.Sort(all)
	at := func(q float64) time.Duration { return all[min(len(all)-1, int(q*float64(len(all))))] }
	fmt.Fprintf(os.Stdout, "%-60s p50 %10v  p99 %10v  worst %10v  of %d\n", what,
		at(0.5).Round(10*time.Microsecond), at(0.99).Round(10*time.Microsecond), all[len(all)-1].Round(10*time.Microsecond), len(all))
}
