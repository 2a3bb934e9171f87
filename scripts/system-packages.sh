#!/usr/bin/env bash
# Installs the Debian packages that building and testing need and that this machine lacks. Does nothing, and asks for
# no password, when nothing is missing.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
source "$here/infra/lib.sh"

has() { command -v "$1" > /dev/null; }

# Newer releases have dropped Java 17.
hint_for() {
  [[ $1 == openjdk-17-* ]] && printf ": install a Java 17 by hand and name it in TICKSMITH_JAVA_HOME" || true
}

# What is missing, by the command that is looked for.
missing_packages() {
  has git || echo git
  has perl || echo perl
  has openssl || echo openssl
  has make && has cc && has c++ || echo build-essential
  (find_java) 2> /dev/null || echo openjdk-17-jdk-headless
  has mvn || echo maven
  has chromium || has chromium-browser || has google-chrome || echo chromium
  python3 -c 'import ensurepip' 2> /dev/null || echo python3-venv
  has promtool || echo prometheus
  has valgrind || echo valgrind
}

# Of that package only promtool is wanted: Debian starts the server that comes along, on the port of the one in Docker.
leave_prometheus_off() {
  [[ " ${packages[*]} " == *" prometheus "* && -d /run/systemd/system ]] || return 0
  "${as_root[@]}" systemctl disable --quiet --now prometheus.service
}

mapfile -t packages < <(missing_packages)
if ((${#packages[@]} == 0)); then
  say "system packages: nothing missing"
  exit 0
fi
has apt-get || die "these are missing, and there is no apt-get here to install them: ${packages[*]}"
as_root=()
if ((EUID != 0)); then
  has sudo || die "these are missing, and installing them needs root (no sudo here): ${packages[*]}"
  as_root=(sudo)
fi

say "system packages: installing ${packages[*]}"
"${as_root[@]}" apt-get update -qq
for package in "${packages[@]}"; do
  apt-cache show "$package" > /dev/null 2>&1 ||
    die "this release has no package $package$(hint_for "$package")"
done
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${packages[@]}"
leave_prometheus_off
