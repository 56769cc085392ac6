#!/bin/sh
# Deploys a version while no other client does.  usage: deploy.sh VERSION
set -eu
version=${1:?usage: deploy.sh VERSION}

# Everything under the lock is here. keywatch put sends the fence that is in its
# environment: once the lock is lost nothing of this is written any more. The fence
# names this lock also if another one was got within it.
case ",${KEYWATCH_FENCE-}," in *,deploy=*)
  keywatch put deploy/running "$version"
  # ... copy files, restart services ...
  keywatch put deploy/current "$version"
  keywatch delete deploy/running
  exit
  ;;
esac

exec keywatch lock --wait=1m --owner="$(id -un) deploys $version" deploy -- "$0" "$version"
