package resp

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"keywatch/auth"
	"keywatch/kv"
)

// sections are those of INFO, in order.
var sections = []string{"server", "clients", "memory", "persistence", "stats", "replication", "cpu", "commandstats", "cluster", "keyspace"}

// ownSections are those that tell nothing of what others do.
var ownSections = []string{"server", "persistence", "replication", "cluster"}

func directInfo(s *session, args [][]byte) []byte {
	var asked []string
	for _, a := range args[1:] {
		asked = append(asked, strings.ToLower(string(a)))
	}
	all := slices.Contains(asked, "all") || slices.Contains(asked, "everything")
	usual := len(asked) == 0 || slices.Contains(asked, "default")
	var b strings.Builder
	_, err := s.view().May(auth.Metrics)
	for _, name := range sections {
		if err != nil && !slices.Contains(ownSections, name) {
			continue
		}
		if !all && !slices.Contains(asked, name) && (!usual || name == "commandstats") {
			continue
		}
		if b.Len() > 0 {
			b.WriteString("\r\n")
		}
		fmt.Fprintf(&b, "# %s\r\n", strings.ToUpper(name[:1])+name[1:])
		s.server.section(&b, name)
	}
	return s.proto.Text(nil, b.String())
}

// section writes the lines of one section of INFO.
func (v *Server) section(b *strings.Builder, name string) {
	state := v.opts.Door.Server().State()
	line := func(format string, args ...any) { fmt.Fprintf(b, format+"\r\n", args...) }
	switch name {
	case "server":
		line("redis_version:%s", redisVersion)
		line("redis_git_sha1:00000000\r\nredis_git_dirty:0\r\nredis_build_id:0\r\nredis_mode:standalone")
		line("keywatch_version:%s", v.opts.Version)
		line("os:%s %s\r\narch_bits:64\r\nprocess_id:%d", runtime.GOOS, runtime.GOARCH, os.Getpid())
		line("run_id:%040x\r\ntcp_port:0", v.born.UnixNano())
		line("server_time_usec:%d\r\nuptime_in_seconds:%d\r\nuptime_in_days:%d", time.Now().UnixMicro(), int(time.Since(v.born).Seconds()), int(time.Since(v.born).Hours())/24)
	case "clients":
		tracking := v.tracking.clients()
		line("connected_clients:%d\r\nmaxclients:%d\r\nblocked_clients:0\r\ntracking_clients:%d", v.Len(), v.opts.Max, tracking)
		subscribers := v.subscribed.clients()
		line("pubsub_clients:%d\r\nwatching_clients:%d\r\ntotal_watched_keys:%d", subscribers, v.watching.clients.Load(), v.watching.keys.Load())
	case "memory":
		used := state.Used()
		line("used_memory:%d\r\nused_memory_human:%.2fM\r\nmaxmemory:0\r\nmaxmemory_policy:noeviction\r\nmem_allocator:go", used, float64(used)/(1<<20))
	case "persistence":
		loading := 0
		if v.opts.Ready() != nil {
			loading = 1
		}
		line("loading:%d\r\nasync_loading:0\r\nrdb_changes_since_last_save:0\r\nrdb_bgsave_in_progress:0\r\nrdb_last_bgsave_status:ok\r\naof_enabled:1\r\naof_rewrite_in_progress:0\r\naof_last_write_status:ok", loading)
	case "stats":
		calls := int64(0)
		for _, n := range v.calls {
			calls += n.Value()
		}
		line("total_connections_received:%d\r\ntotal_commands_processed:%d\r\nrejected_connections:%d\r\ntotal_error_replies:%d", v.accepted.Load(), calls, v.refused.Load(), v.failed.Value())
		channels, patterns := v.subscribed.counts()
		line("evicted_keys:0\r\npubsub_channels:%d\r\npubsub_patterns:%d", channels, patterns)
		keys, items, prefixes := v.tracking.counts()
		line("tracking_total_keys:%d\r\ntracking_total_items:%d\r\ntracking_total_prefixes:%d", keys, items, prefixes)
	case "replication":
		line("role:master\r\nconnected_slaves:0\r\nmaster_failover_state:no-failover\r\nmaster_repl_offset:%d", state.Applied())
	case "cpu":
		if user, system, ok := processorTime(); ok {
			line("used_cpu_sys:%.6f\r\nused_cpu_user:%.6f", system.Seconds(), user.Seconds())
		}
	case "commandstats":
		for i := range v.commands {
			if n := v.calls[i].Value(); n > 0 {
				line("cmdstat_%s:calls=%d,usec=0,usec_per_call=0.00,rejected_calls=0,failed_calls=0", v.commands[i].name, n)
			}
		}
	case "cluster":
		line("cluster_enabled:0")
	case "keyspace":
		if keys := state.Len(); keys > 0 {
			line("db0:keys=%d,expires=%d,avg_ttl=0", keys, expires(state))
		}
	}
}

func expires(state *kv.State) int { return state.Stats().Deadlines }
