package resp

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"

	"keywatch/web/resp/wire"
)

// settings are what CONFIG GET shows. Two of them can be set.
type settings struct {
	mu     sync.Mutex
	notify string
	table  int
}

// defaultTable is how many keys the table of tracking holds.
const defaultTable = 1_000_000

func (t *settings) init() { t.notify, t.table = "AKE", defaultTable }

// list returns all settings, by name.
func (v *Server) settingList() [][2]string {
	t := &v.settings
	t.mu.Lock()
	defer t.mu.Unlock()
	fsync := "everysec"
	if v.opts.Fsync {
		fsync = "always"
	}
	return [][2]string{
		{"save", ""}, {"appendonly", "yes"}, {"appendfsync", fsync}, {"databases", "1"}, {"maxmemory", "0"},
		{"maxmemory-policy", "noeviction"}, {"maxclients", strconv.Itoa(v.opts.Max)}, {"timeout", "0"}, {"tcp-keepalive", "300"},
		{"proto-max-bulk-len", strconv.Itoa(wire.MaxArg)}, {"notify-keyspace-events", t.notify},
		{"tracking-table-max-keys", strconv.Itoa(t.table)}, {"requirepass", ""}, {"cluster-enabled", "no"}, {"dir", "/"},
		{"dbfilename", ""}, {"lua-time-limit", "0"}, {"slowlog-log-slower-than", "-1"}, {"slowlog-max-len", "0"},
		{"hash-max-listpack-entries", "128"}, {"list-max-listpack-size", "-2"}, {"set-max-intset-entries", "512"}, {"zset-max-listpack-entries", "128"},
	}
}

func directConfig(s *session, args [][]byte) []byte {
	switch sub := upper(args[1]); {
	case sub == "GET" && len(args) > 2:
		return s.configGet(args[2:])
	case sub == "SET" && len(args) > 3 && len(args)%2 == 0:
		return s.configSet(args[2:])
	case sub == "RESETSTAT" && len(args) == 2:
		return textOK
	case sub == "HELP" && len(args) == 2:
		return help("CONFIG", "GET <pattern>", "    Return parameters matching the glob-like <pattern> and their values.",
			"SET <directive> <value>", "    Set the configuration <directive> to <value>.", "RESETSTAT", "    Accepted; counters are never reset.")
	case sub == "GET" || sub == "SET" || sub == "RESETSTAT" || sub == "HELP":
		return errorText(wrongArity("config|" + strings.ToLower(sub)))
	}
	return errorText(unknownSub("config", args[1]))
}

func (s *session) configGet(patterns [][]byte) []byte {
	var found []string
	for _, row := range s.server.settingList() {
		if slices.ContainsFunc(patterns, func(p []byte) bool { return glob(strings.ToLower(string(p))).match(row[0]) }) {
			found = append(found, row[0], row[1])
		}
	}
	b := s.proto.Map(nil, len(found)/2)
	for _, text := range found {
		b = wire.AppendBulk(b, text)
	}
	return b
}

func (s *session) configSet(pairs [][]byte) []byte {
	var changes []func()
	for i := 0; i < len(pairs); i += 2 {
		change, text := s.server.setting(strings.ToLower(string(pairs[i])), string(pairs[i+1]))
		if text != "" {
			return wire.AppendError(nil, text)
		}
		changes = append(changes, change)
	}
	for _, change := range changes {
		change()
	}
	return textOK
}

// setting returns what gives a setting a value or, as text, why it cannot have it.
func (v *Server) setting(name, value string) (change func(), text string) {
	failed := fmt.Sprintf("ERR CONFIG SET failed (possibly related to argument '%s') - ", name)
	switch name {
	case "notify-keyspace-events":
		mask, ok := parseMask(value)
		if !ok {
			return nil, failed + "Invalid event class character. Use 'Ag$lshzxeKEtmdn'."
		}
		return func() { v.setNotify(mask) }, ""
	case "tracking-table-max-keys":
		n, err := strconv.Atoi(value)
		if err != nil || n < 0 {
			return nil, failed + "argument couldn't be parsed into an integer"
		}
		return func() { v.setTable(n) }, ""
	}
	for _, row := range v.settingList() {
		if row[0] == name {
			return nil, failed + "can't set immutable config"
		}
	}
	return nil, fmt.Sprintf("ERR Unknown option or number of arguments for CONFIG SET - '%s'", name)
}

func (v *Server) setNotify(m mask) {
	v.settings.mu.Lock()
	v.settings.notify = m.String()
	v.settings.mu.Unlock()
	v.subscribed.mask.Store(uint32(m))
}

func (v *Server) setTable(n int) {
	v.settings.mu.Lock()
	v.settings.table = n
	v.settings.mu.Unlock()
	v.tracking.bound(n)
}
