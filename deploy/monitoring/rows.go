package monitoring

import "fmt"

// quantiles are the lines of a histogram: what half, and one in a hundred, exceeds.
func quantiles(metric, by, name string) (lines []line) {
	for _, q := range []struct{ share, name string }{{"0.5", "half"}, {"0.99", "1 in 100"}} {
		expr := fmt.Sprintf(`histogram_quantile(%s, sum by (instance, le%s) (rate(%s_bucket{job="keywatch", instance=~"$instance"}[$__rate_interval])))`, q.share, by, metric)
		lines = append(lines, line{expr, name + " " + q.name})
	}
	return lines
}

// rate is a line of the rate of a counter.
func rate(metric, by, name string) line {
	return line{fmt.Sprintf(`sum by (instance%s) (rate(%s{job="keywatch", instance=~"$instance"}[$__rate_interval]))`, by, metric), name}
}

// gauge is a line of the value of a metric.
func gauge(metric, name string) line {
	return line{metric + `{job="keywatch", instance=~"$instance"}`, name}
}

// part is a line of how much of a bound is used.
func part(metric, bound, name string) line {
	const of = `{job="keywatch", instance=~"$instance"}`
	return line{fmt.Sprintf(`sum by (instance) (%s%s) / sum by (instance) (%s%s)`, metric, of, bound, of), name}
}

const server = "{{instance}}"

// rows are the parts of the dashboard.
var rows = []row{
	{"How quick it is", []panel{
		{"Requests: time until the answer, by route", "Puts wait for one fsync. Long polls of locks and streams are not counted as slow.", seconds,
			quantiles("keywatch_http_request_duration_seconds", ", route, method", server+" {{method}} {{route}}")},
		{"Requests answered a second", "", perSecond, []line{rate("keywatch_http_requests_total", ", route, status", server+" {{route}} {{status}}")}},
		{"Writes: from proposal until applied", "About one fsync while the queue is short.", seconds,
			quantiles("keywatch_commit_duration_seconds", "", server)},
		{"Fsync of the log: below 10 ms on an SSD", "Each write waits for one. Above 100 ms: look for other load on that disk.", seconds,
			quantiles("keywatch_log_fsync_duration_seconds", "", server)},
		{"Events: from published until handed to the kernel", "", seconds,
			quantiles("keywatch_watch_delivery_seconds", "", server)},
		{"Errors a second, by code", "compare_failed, key_not_found and lock_held are outcomes that callers ask for.", perSecond,
			[]line{rate("keywatch_refused_total", ", code", server+" {{code}}")}},
	}},
	{"Writes", []panel{
		{"Commands and log entries a second", "Their quotient is how many commands share one fsync.", perSecond,
			[]line{rate("keywatch_log_commands_total", "", server+" commands"), rate("keywatch_log_entries_total", "", server+" entries")}},
		{"Commands that wait for the log: short", "At --max-queue writes are refused with queue_full.", count,
			[]line{gauge("keywatch_queue_commands", server)}},
		{"Log that a start would apply", "Falls with each checkpoint.", bytes,
			[]line{gauge("keywatch_log_bytes", server)}},
		{"Time of a checkpoint", "", seconds, quantiles("keywatch_checkpoint_duration_seconds", "", server)},
	}},
	{"Memory", []panel{
		{"Memory in use, of --memory-max: at most 1", "Values leave memory for the disk as it fills; keys and their metadata do not.", share,
			[]line{part("keywatch_memory_used_bytes", "keywatch_memory_max_bytes", server)}},
		{"Memory by what it is for", "", bytes, []line{
			gauge("keywatch_memory_values_bytes", server+" values"), gauge("keywatch_memory_keys_bytes", server+" keys"),
			gauge("keywatch_history_bytes", server+" history"), gauge("keywatch_memory_leases_bytes", server+" leases"),
			gauge("keywatch_snapshot_bytes", server+" snapshots")}},
		{"Memory that clients hold", "Connections, watches, requests and answers under way; --client-memory is the bound.", bytes, []line{
			{`sum by (instance, kind) (keywatch_client_memory_bytes{job="keywatch", instance=~"$instance"})`, server + " {{kind}}"},
			gauge("keywatch_client_memory_max_bytes", server+" bound")}},
		{"Memory of the process", "Below 1.5 times --memory-max and 64 MiB, and what is mapped of files.", bytes, []line{
			gauge("process_resident_memory_bytes", server), gauge("keywatch_memory_max_bytes", server+" --memory-max")}},
	}},
	{"Cluster", []panel{
		{"Behind the leader: about 100 ms", "It grows where no leader is heard. A server that is alone has no line.", seconds,
			[]line{gauge("keywatch_cluster_lag_seconds", server)}},
		{"Leader: one server has 1", "", count,
			[]line{gauge("keywatch_cluster_leader", server), gauge("keywatch_cluster_voters", server+" voters"), gauge("keywatch_cluster_members_unreachable", server+" unreachable")}},
	}},
	{"Watches, locks and leases", []panel{
		{"Watches open", "", count, []line{gauge("keywatch_watchers", server), gauge("keywatch_watchers_behind", server+" behind")}},
		{"Events a second", "", perSecond, []line{rate("keywatch_watch_published_total", "", server+" published"), rate("keywatch_watch_delivered_total", "", server+" delivered")}},
		{"Watches that history has left behind a second: 0", "They are brought up to date by a snapshot. Raise --history.", perSecond,
			[]line{rate("keywatch_watch_resyncs_total", "", server+" resync"), rate("keywatch_watch_resets_total", "", server+" reset")}},
		{"Locks and leases", "", count, []line{gauge("keywatch_locks", server+" locks"), gauge("keywatch_lock_waiters", server+" waiters"), gauge("keywatch_leases", server+" leases")}},
	}},
	{"Storage", []panel{
		{"Keys, by where their value is", "", count, []line{
			{`sum by (instance, tier) (keywatch_tier_keys{job="keywatch", instance=~"$instance"})`, server + " {{tier}}"}}},
		{"Reads a second, by where the value was", "Many on disk or in the object store: raise --memory-max.", perSecond,
			[]line{rate("keywatch_tier_reads_total", ", tier", server+" {{tier}}")}},
		{"Checkpoint file: what of it is alive", "keywatch compact gives the rest back.", bytes,
			[]line{gauge("keywatch_checkpoint_file_bytes", server+" file"), gauge("keywatch_checkpoint_live_bytes", server+" alive")}},
		{"Time since the last checkpoint", "-1 if there was none since the start.", seconds, []line{gauge("keywatch_checkpoint_age_seconds", server)}},
	}},
	{"Users and TLS", []panel{
		{"Time until the certificate expires", "It is read again when its files change. Below a week: see whether it is renewed.", seconds,
			[]line{gauge("keywatch_tls_certificate_expiry_seconds", server)}},
		{"TLS handshakes a second, by how they ended", "rejected: the client does not know the authority. client_certificate: the server does not.", perSecond,
			[]line{rate("keywatch_tls_handshakes_total", ", result", server+" {{result}}")}},
		{"Credentials a second, by result", "Those that are unknown, expired or revoked: who uses them sees 401.", perSecond,
			[]line{rate("keywatch_auth_requests_total", ", result", server+" {{result}}")}},
		{"Logins a second, by result", "Many wrong ones: look into the audit log for their addresses.", perSecond,
			[]line{rate("keywatch_auth_logins_total", ", result", server+" {{result}}")}},
	}},
	{"Process", []panel{
		{"Processors in use", "", count, []line{rate("process_cpu_seconds_total", "", server)}},
		{"Open files, of the limit", "", share, []line{part("process_open_fds", "process_max_fds", server)}},
		{"Goroutines", "An idle stream has none.", count, []line{gauge("go_goroutines", server)}},
		{"Background work: for how long", "Checkpoints, moves and backups that are under way.", seconds,
			[]line{{`keywatch_background_seconds{job="keywatch", instance=~"$instance"} > 0`, server + " {{work}}"}}},
	}},
}
