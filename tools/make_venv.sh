#!/bin/sh
# Makes the virtual environment and installs into it: make_venv.sh PYTHON FOLDER WHAT
set -eu
python=$1 folder=$2 what=$3

fail() { printf '%s\n' "$*" >&2; exit 1; }

command -v "$python" >/dev/null || fail "Unitscope needs Python 3.11 or newer, and “$python” was not found.
Install it, or name another one: make demo PYTHON=/path/to/python3.11"
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || fail "Unitscope needs Python 3.11 or newer; “$python” is $("$python" --version 2>&1).
Name another one: make demo PYTHON=/path/to/python3.11"
"$python" -c 'import ensurepip, venv' 2>/dev/null || fail "This Python cannot make virtual environments.
On Debian and Ubuntu: apt-get install python3-venv"

free=$(df -Pk . | awk 'NR == 2 { print int($4 / 1024) }')
[ "$free" -ge 4096 ] || [ -x "$folder/bin/python" ] || fail "Installing Unitscope needs about 4 GiB of free disk space; only $free MiB are free here."

[ -x "$folder/bin/python" ] || "$python" -m venv "$folder"
echo "Installing Unitscope's packages into $folder (a few minutes the first time) …"
"$folder/bin/pip" install --quiet --disable-pip-version-check --upgrade-strategy only-if-needed -e "$what" ||
    fail "The packages could not be installed; the message above says why. Check the network connection and the free disk space, then run the command again."
