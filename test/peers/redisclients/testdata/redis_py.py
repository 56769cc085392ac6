"""What redis-py does first, and what services do with it."""
import sys
import threading
import redis

r = redis.Redis(port=int(sys.argv[1]))
assert r.ping()
assert r.set("py", "1", ex=100) and r.get("py") == b"1"
assert 0 < r.ttl("py") <= 100
assert r.incr("py", 41) == 42
assert r.set("py", "2", nx=True) is None
assert r.mset({"py:1": "a", "py:2": "b"}) and r.mget("py:1", "py:2", "py:3") == [b"a", b"b", None]
assert sorted(r.scan_iter(match="py:*")) == [b"py:1", b"py:2"]

# A counter by optimistic locking, as its documentation has it.
def count():
    c = redis.Redis(port=int(sys.argv[1]))
    for _ in range(20):
        c.transaction(lambda p: (lambda n: (p.multi(), p.set("py:n", n + 1)))(int(p.get("py:n") or 0)), "py:n")

threads = [threading.Thread(target=count) for _ in range(4)]
[t.start() for t in threads]
[t.join() for t in threads]
assert r.get("py:n") == b"80", r.get("py:n")

p = r.pipeline()
for i in range(100):
    p.incr("py:p")
assert p.execute() == list(range(1, 101))

lock = r.lock("py:lock", timeout=10)
assert lock.acquire(blocking=False) and lock.locked() and lock.owned()
assert not r.lock("py:lock", timeout=10).acquire(blocking=False)
assert lock.extend(10) and lock.reacquire()
ttl = r.pttl("py:lock")
assert 0 < ttl <= 10000, ttl
lock.release()
assert not lock.locked()
stolen = r.lock("py:lock", timeout=10)
assert stolen.acquire()
r.set("py:lock", "someone else")
try:
    stolen.release()
    assert False, "it released a lock that it does not have"
except redis.exceptions.LockError:
    pass

s = r.pubsub()
s.psubscribe("__keyevent@0__:*")
assert s.get_message(timeout=5)["type"] == "psubscribe"
r.set("py:event", "1")
m = s.get_message(timeout=5)
assert m["channel"] == b"__keyevent@0__:set" and m["data"] == b"py:event", m
try:
    r.execute_command("LPUSH", "l", "1")
    assert False, "there are lists"
except redis.exceptions.ResponseError as e:
    assert "unknown command" in str(e)
print("ok")
