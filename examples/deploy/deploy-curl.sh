#!/bin/sh
# Deploys a version while no other client does, with curl.  usage: deploy-curl.sh VERSION
set -eu
version=${1:?usage: deploy-curl.sh VERSION}
api=${KEYWATCH_SERVER:-http://127.0.0.1:7070}/v1

# A lock that lives 30 s, waited for in line for up to a minute. The
# Idempotency-Key makes a retry take up the same place.
answer=$(curl -fsS --retry 5 -H "Idempotency-Key: deploy-$$-$(date +%s)" \
  -d '{"ttl":"30s","wait":"60s","owner":"deploy-curl.sh"}' "$api/locks/deploy")
token=$(printf %s "$answer" | sed 's/.*"token":\([0-9]*\).*/\1/')
trap 'curl -fsS -o /dev/null -X DELETE "$api/locks/deploy?token=$token"' EXIT

# Each write names the token: once the lock has moved on it is refused with 412,
# curl fails, and the script ends. Keep alive what takes longer than the TTL:
#   curl -fsS -d "{\"token\":$token}" "$api/locks/deploy/keepalive"
put() { curl -fsS -o /dev/null -X PUT -H "If-Fence: deploy=$token" --data-binary "$2" "$api/kv/$1"; }

put deploy/running "$version"
# ... copy files, restart services ...
put deploy/current "$version"
curl -fsS -o /dev/null -X DELETE -H "If-Fence: deploy=$token" "$api/kv/deploy/running"
