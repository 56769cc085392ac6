package main

import (
	"strings"
)

// compareFront prints what the front door reaches: requests, idle connections, writers beside
// watchers.
func compareFront(c config) error {
	if err := measure(c, []start{startKeywatch, startBare, startRedis, startEtcd}); err != nil {
		return err
	}
	if err := compareIdle(c); err != nil {
		return err
	}
	return runFanout(c, frontSections(c.seconds))
}

// frontSections are the loads of watchers that belong to the front door, for keywatch alone.
func frontSections(seconds int) (list []section) {
	for _, s := range sections(seconds) {
		idle := s.title == "10,000 idle"
		if idle {
			s.rivals = []rival{keywatchSSE, keywatchWS}
		}
		if idle || strings.HasPrefix(s.title, "puts beside 0 ") || strings.HasPrefix(s.title, "puts beside 10000 ") {
			list = append(list, s)
		}
	}
	return list
}
