package resp

// The flags of commands.
var (
	fastRead  = []string{"readonly", "fast"}
	slowRead  = []string{"readonly"}
	write     = []string{"write", "denyoom"}
	fastWrite = []string{"write", "denyoom", "fast"}
	free      = []string{"noscript", "loading", "stale", "fast"}
	admin     = []string{"admin", "noscript", "loading", "stale"}
	subscribe = []string{"pubsub", "noscript", "loading", "stale"}
)

// newCommands returns the one table of commands: COMMAND, arity errors and metrics come from it.
func newCommands() []command {
	return []command{
		{name: "get", arity: 2, flags: fastRead, first: 1, last: 1, step: 1, group: "string", compile: compileGet},
		{name: "mget", arity: -2, flags: fastRead, first: 1, last: -1, step: 1, group: "string", compile: compileMGet},
		{name: "strlen", arity: 2, flags: fastRead, first: 1, last: 1, step: 1, group: "string", compile: compileStrlen},
		{name: "getrange", arity: 4, flags: slowRead, first: 1, last: 1, step: 1, group: "string", compile: compileGetRange},
		{name: "substr", arity: 4, flags: slowRead, first: 1, last: 1, step: 1, group: "string", compile: compileGetRange},
		{name: "set", arity: -3, flags: write, first: 1, last: 1, step: 1, group: "string", compile: compileSet},
		{name: "setnx", arity: 3, flags: fastWrite, first: 1, last: 1, step: 1, group: "string", compile: compileSetNX},
		{name: "setex", arity: 4, flags: write, first: 1, last: 1, step: 1, group: "string", compile: compileSetEX},
		{name: "psetex", arity: 4, flags: write, first: 1, last: 1, step: 1, group: "string", compile: compileSetEX},
		{name: "getset", arity: 3, flags: fastWrite, first: 1, last: 1, step: 1, group: "string", compile: compileGetSet},
		{name: "getdel", arity: 2, flags: []string{"write", "fast"}, first: 1, last: 1, step: 1, group: "string", compile: compileGetDel},
		{name: "getex", arity: -2, flags: []string{"write", "fast"}, first: 1, last: 1, step: 1, group: "string", compile: compileGetEX, rewrites: true},
		{name: "mset", arity: -3, flags: write, first: 1, last: -1, step: 2, group: "string", compile: compileMSet},
		{name: "msetnx", arity: -3, flags: write, first: 1, last: -1, step: 2, group: "string", compile: compileMSet},
		{name: "msetex", arity: -4, flags: write, group: "string", compile: compileMSetEX},
		{name: "append", arity: 3, flags: fastWrite, first: 1, last: 1, step: 1, group: "string", compile: compileAppend, rewrites: true},
		{name: "setrange", arity: 4, flags: write, first: 1, last: 1, step: 1, group: "string", compile: compileSetRange, rewrites: true},
		{name: "incr", arity: 2, flags: fastWrite, first: 1, last: 1, step: 1, group: "string", compile: compileIncr},
		{name: "decr", arity: 2, flags: fastWrite, first: 1, last: 1, step: 1, group: "string", compile: compileIncr},
		{name: "incrby", arity: 3, flags: fastWrite, first: 1, last: 1, step: 1, group: "string", compile: compileIncr},
		{name: "decrby", arity: 3, flags: fastWrite, first: 1, last: 1, step: 1, group: "string", compile: compileIncr},
		{name: "incrbyfloat", arity: 3, flags: fastWrite, first: 1, last: 1, step: 1, group: "string", compile: compileIncrByFloat},

		{name: "exists", arity: -2, flags: fastRead, first: 1, last: -1, step: 1, group: "generic", compile: compileExists},
		{name: "touch", arity: -2, flags: fastRead, first: 1, last: -1, step: 1, group: "generic", compile: compileExists},
		{name: "type", arity: 2, flags: fastRead, first: 1, last: 1, step: 1, group: "generic", compile: compileType},
		{name: "ttl", arity: 2, flags: fastRead, first: 1, last: 1, step: 1, group: "generic", compile: compileTTL},
		{name: "pttl", arity: 2, flags: fastRead, first: 1, last: 1, step: 1, group: "generic", compile: compileTTL},
		{name: "expiretime", arity: 2, flags: fastRead, first: 1, last: 1, step: 1, group: "generic", compile: compileTTL},
		{name: "pexpiretime", arity: 2, flags: fastRead, first: 1, last: 1, step: 1, group: "generic", compile: compileTTL},
		{name: "del", arity: -2, flags: []string{"write"}, first: 1, last: -1, step: 1, group: "generic", compile: compileDel},
		{name: "unlink", arity: -2, flags: []string{"write", "fast"}, first: 1, last: -1, step: 1, group: "generic", compile: compileDel},
		{name: "delex", arity: -2, flags: []string{"write", "fast"}, first: 1, last: 1, step: 1, group: "string", compile: compileDelex},
		{name: "delifeq", arity: 3, flags: []string{"write", "fast"}, first: 1, last: 1, step: 1, group: "string", compile: compileDelex},
		{name: "rename", arity: 3, flags: []string{"write"}, first: 1, last: 2, step: 1, group: "generic", compile: compileRename, rewrites: true},
		{name: "renamenx", arity: 3, flags: []string{"write", "fast"}, first: 1, last: 2, step: 1, group: "generic", compile: compileRename, rewrites: true},
		{name: "copy", arity: -3, flags: write, first: 1, last: 2, step: 1, group: "generic", compile: compileCopy, rewrites: true, unqueued: true},
		{name: "expire", arity: -3, flags: []string{"write", "fast"}, first: 1, last: 1, step: 1, group: "generic", compile: compileExpire, rewrites: true},
		{name: "pexpire", arity: -3, flags: []string{"write", "fast"}, first: 1, last: 1, step: 1, group: "generic", compile: compileExpire, rewrites: true},
		{name: "expireat", arity: -3, flags: []string{"write", "fast"}, first: 1, last: 1, step: 1, group: "generic", compile: compileExpire, rewrites: true},
		{name: "pexpireat", arity: -3, flags: []string{"write", "fast"}, first: 1, last: 1, step: 1, group: "generic", compile: compileExpire, rewrites: true},
		{name: "persist", arity: 2, flags: []string{"write", "fast"}, first: 1, last: 1, step: 1, group: "generic", compile: compilePersist, rewrites: true},
		{name: "scan", arity: -2, flags: slowRead, group: "generic", slow: runScan, snapshots: true},
		{name: "keys", arity: 2, flags: slowRead, group: "generic", slow: runKeys, snapshots: true},
		{name: "randomkey", arity: 1, flags: slowRead, group: "generic", slow: runRandomKey, snapshots: true},
		{name: "dbsize", arity: 1, flags: fastRead, group: "server", slow: runDBSize, snapshots: true, direct: directDBSize},
		{name: "flushdb", arity: -1, flags: []string{"write"}, group: "server", slow: runFlush, compile: compileFlush, rewrites: true},
		{name: "flushall", arity: -1, flags: []string{"write"}, group: "server", slow: runFlush, compile: compileFlush, rewrites: true},
		{name: "object", arity: -2, flags: slowRead, first: 2, last: 2, step: 1, group: "generic", compile: compileObject, subs: []string{"encoding", "refcount", "help"}},
		{name: "memory", arity: -2, flags: slowRead, group: "server", compile: compileMemory, subs: []string{"usage", "help"}},

		{name: "multi", arity: 1, flags: free, group: "transactions", direct: directMulti, immediate: true},
		{name: "exec", arity: 1, flags: []string{"noscript", "loading", "stale"}, group: "transactions", immediate: true, run: runExec},
		{name: "discard", arity: 1, flags: free, group: "transactions", direct: directDiscard, immediate: true},
		{name: "watch", arity: -2, flags: free, first: 1, last: -1, step: 1, group: "transactions", immediate: true, run: runWatch},
		{name: "unwatch", arity: 1, flags: free, group: "transactions", direct: directUnwatch},

		{name: "ping", arity: -1, flags: []string{"fast"}, group: "connection", direct: directPing},
		{name: "echo", arity: 2, flags: free, group: "connection", direct: directEcho},
		{name: "quit", arity: -1, flags: free, group: "connection", direct: directQuit, immediate: true},
		{name: "reset", arity: 1, flags: free, group: "connection", direct: directReset, immediate: true},
		{name: "select", arity: 2, flags: free, group: "connection", direct: directSelect},
		{name: "hello", arity: -1, flags: free, group: "connection", run: runHello, direct: directHello},
		{name: "auth", arity: -2, flags: free, group: "connection", run: runAuth, immediate: true},
		{name: "client", arity: -2, flags: []string{"noscript", "loading", "stale"}, group: "connection", direct: directClient, subs: clientSubNames},
		{name: "acl", arity: -2, flags: []string{"noscript", "loading", "stale"}, group: "connection", direct: directACL, subs: []string{"whoami", "help"}},
		{name: "time", arity: 1, flags: []string{"loading", "stale", "fast"}, group: "server", direct: directTime},
		{name: "info", arity: -1, flags: []string{"loading", "stale"}, group: "server", direct: directInfo},
		{name: "config", arity: -2, flags: admin, group: "server", direct: directConfig, subs: []string{"get", "set", "resetstat", "help"}},
		{name: "command", arity: -1, flags: []string{"loading", "stale"}, group: "server", direct: directCommand, subs: []string{"count", "list", "info", "docs", "getkeys", "help"}},
		{name: "wait", arity: 3, flags: []string{"noscript"}, group: "generic", direct: directWait},
		{name: "waitaof", arity: 4, flags: []string{"noscript"}, group: "generic", direct: directWait},
		{name: "slowlog", arity: -2, flags: admin, group: "server", direct: directLists, subs: []string{"get", "len", "reset", "help"}},
		{name: "latency", arity: -2, flags: admin, group: "server", direct: directLists, subs: []string{"latest", "history", "reset", "help"}},
		{name: "module", arity: -2, flags: admin, group: "server", direct: directLists, subs: []string{"list", "help"}},
		{name: "function", arity: -2, flags: admin, group: "scripting", direct: directLists, subs: []string{"flush", "list", "help"}},
		{name: "cluster", arity: -2, flags: []string{"stale"}, group: "cluster", direct: directCluster},
		{name: "eval", arity: -3, flags: []string{"write", "noscript", "stale", "movablekeys"}, group: "scripting", compile: compileEval, rewrites: true},
		{name: "evalsha", arity: -3, flags: []string{"write", "noscript", "stale", "movablekeys"}, group: "scripting", compile: compileEval, rewrites: true},
		{name: "script", arity: -2, flags: []string{"noscript", "loading", "stale"}, group: "scripting", direct: directScript, subs: []string{"load", "exists", "flush", "help"}},
		{name: "lolwut", arity: -1, flags: fastRead, group: "server", direct: directLolwut},

		{name: "subscribe", arity: -2, flags: subscribe, group: "pubsub", run: runSubscribe, direct: directSubscribe, watches: true},
		{name: "psubscribe", arity: -2, flags: subscribe, group: "pubsub", direct: directSubscribe, watches: true},
		{name: "unsubscribe", arity: -1, flags: subscribe, group: "pubsub", direct: directUnsubscribe},
		{name: "punsubscribe", arity: -1, flags: subscribe, group: "pubsub", direct: directUnsubscribe},
		{name: "pubsub", arity: -2, flags: []string{"pubsub", "loading", "stale"}, group: "pubsub", direct: directPubSub, subs: []string{"channels", "numsub", "numpat", "help"}},

		{name: "kw.get", arity: 2, flags: fastRead, first: 1, last: 1, step: 1, group: "keywatch", compile: compileKWGet},
		{name: "kw.cas", arity: -4, flags: fastWrite, first: 1, last: 1, step: 1, group: "keywatch", compile: compileCAS},
		{name: "kw.cad", arity: 3, flags: []string{"write", "fast"}, first: 1, last: 1, step: 1, group: "keywatch", compile: compileCAD},
		{name: "kw.check", arity: -3, flags: fastRead, first: 1, last: 1, step: 1, group: "keywatch", compile: compileCheck},
		{name: "kw.fence", arity: 3, flags: fastRead, group: "keywatch", compile: compileFence},
		{name: "kw.idem", arity: 2, flags: fastRead, group: "keywatch", compile: compileIdem},
		{name: "kw.holder", arity: 2, flags: fastRead, group: "keywatch", compile: compileHolder},
		{name: "kw.watch", arity: -4, flags: subscribe, group: "keywatch", run: runWatchCommand, watches: true, unqueued: true},
		{name: "kw.unwatch", arity: 2, flags: subscribe, group: "keywatch", direct: directUnwatchCommand},
		{name: "kw.lock", arity: -3, flags: []string{"write"}, group: "keywatch", slow: runLock},
		{name: "kw.unlock", arity: 3, flags: []string{"write"}, group: "keywatch", slow: runUnlock},
		{name: "kw.renew", arity: 3, flags: []string{"write"}, group: "keywatch", slow: runUnlock},
		{name: "kw.lease", arity: 3, flags: []string{"write"}, group: "keywatch", slow: runLease, subs: []string{"grant", "renew", "revoke", "get", "bind", "unbind"}},
	}
}

var clientSubNames = []string{
	"id", "info", "list", "setname", "getname", "setinfo", "reply", "kill", "no-evict", "no-touch", "help", "tracking", "caching",
	"getredir", "trackinginfo", "unblock",
}
