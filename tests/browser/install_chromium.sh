#!/bin/sh
# The browser tests drive a real Chromium; install it from the system's packages where missing.
set -eu
for name in chromium chromium-browser google-chrome; do
    command -v "$name" >/dev/null && exit 0
done
command -v apt-get >/dev/null || {
    echo "The browser tests need Chromium. Install it with your package manager and run this again." >&2
    exit 1
}
root=""
[ "$(id -u)" -eq 0 ] || root="sudo"
echo "Installing Chromium from the system's packages …"
{ $root apt-get update -qq && $root apt-get install -y -qq chromium >/dev/null; } || {
    echo "Chromium could not be installed. Install it by hand (apt-get install chromium) and run this again." >&2
    exit 1
}
