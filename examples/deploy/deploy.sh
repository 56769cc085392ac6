#!/bin/sh
# Deploys a version while nobody else does.  usage: deploy.sh VERSION
set -eu
version=${1:?usage: deploy.sh VERSION}

# Everything under the lock goes here. keywatch put takes the fence from its
# environment: once the lock is lost nothing of this is written any more.
if [ "${KEYWATCH_LOCK_NAME-}" = deploy ]; then
  keywatch put deploy/running "$version"
  # ... copy files, restart services ...
  keywatch put deploy/current "$version"
  keywatch delete deploy/running
  exit
fi

exec keywatch lock --wait=1m --owner="$(id -un) deploys $version" deploy -- "$0" "$version"
