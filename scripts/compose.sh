#!/usr/bin/env bash
# Docker Compose, whichever of its two forms is here.
set -euo pipefail

cd "$(dirname "$0")/.."
scripts/need.sh compose
if docker compose version > /dev/null 2>&1; then exec docker compose "$@"; else exec docker-compose "$@"; fi
