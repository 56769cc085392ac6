// Package redisclients tries clients of Redis, and the lock libraries that stand on them, against
// the real command: go-redis, redsync and redislock, redis-py with its lock, ioredis with redlock.
// They are pinned here and in testdata/package.json. KEYWATCH names the program; redis-py
// is that of the system, the packages for Node come from npm.
package redisclients
