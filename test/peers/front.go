package main

// compareFront prints what the front door reaches: requests, idle connections, writers beside
// watchers.
func compareFront(c config) error {
	if err := measure(c, []start{startKeywatch, startBare, startRedis, startEtcd}); err != nil {
		return err
	}
	if err := compareIdle(c); err != nil {
		return err
	}
	if err := runFanout(c, frontSections(c.seconds)); err != nil {
		return err
	}
	return compareBeside(c)
}

// frontSections are the loads of watchers that belong to the front door, for keywatch alone.
func frontSections(seconds int) (list []section) {
	for _, s := range sections(seconds) {
		if s.title == "10,000 idle" {
			s.rivals = []rival{keywatchSSE, keywatchWS}
			list = append(list, s)
		}
	}
	return list
}
