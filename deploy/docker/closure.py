"""What goes into the image of one service: the libraries it declares with theirs, and its code; nothing else.

    python closure.py CHECKOUT SERVICE LOCK           print the lines of the lock (with hashes) that the service needs
    python closure.py --copy CHECKOUT SERVICE VENV    copy its code, and put that on the environment's path

Run it with a Python in which everything of the lock is installed: what libraries need is read from their metadata.
"""

import re
import shutil
import sys
import tomllib
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

OURS = re.compile(r"rialto(-|$)")
NOT_CODE = ("tests", "training", "evaluation", "contracts", "docs")


def folders(checkout: Path, service: str) -> list[Path]:
    """The packages of an image. The command line's has every service's code: it migrates all of them."""
    services = sorted(path.parent for path in (checkout / "services").glob("*/pyproject.toml"))
    chosen = (
        [*services, checkout / "sdk" / "python", checkout / "cli"]
        if service == "cli"
        else [checkout / "services" / service]
    )
    if not all((folder / "pyproject.toml").exists() for folder in chosen):
        sys.exit(f"there is no service {service!r}: it is one of {', '.join(path.name for path in services)}, cli")
    return [checkout / "libs" / "common", *chosen]


def declared(checkout: Path, service: str) -> list[Requirement]:
    """What the image's own packages declare. The command line needs no service's libraries, only its migrations."""
    own = [path for path in folders(checkout, service) if service != "cli" or path.parent.name != "services"]
    documents = [tomllib.loads((path / "pyproject.toml").read_text()) for path in own]
    texts = [text for document in documents for text in document["project"]["dependencies"]]
    return [requirement for requirement in map(Requirement, texts) if not OURS.match(requirement.name)]


def closure(wanted: Iterable[Requirement]) -> set[str]:
    """The canonical names of these libraries and of all that they need here, extras included."""
    seen: set[tuple[str, str]] = set()
    waiting = [(requirement.name, extra) for requirement in wanted for extra in ("", *requirement.extras)]
    while waiting:
        name, extra = waiting.pop()
        key = (canonicalize_name(name), extra)
        if key in seen:
            continue
        try:
            texts = requires(name) or []
        except PackageNotFoundError:
            continue  # for another platform: its marker is in the lock as well
        seen.add(key)
        for requirement in map(Requirement, texts):
            if requirement.marker is None or requirement.marker.evaluate({"extra": extra}):
                waiting += [(requirement.name, its_extra) for its_extra in ("", *requirement.extras)]
    return {name for name, _ in seen}


def pinned(lock: str) -> dict[str, str]:
    """The entries of a lock by canonical name, with their hashes; several where the version depends on the Python."""
    entries: dict[str, str] = {}
    for entry in re.split(r"(?m)^(?=[A-Za-z0-9])", lock):
        if "==" in entry:
            name = canonicalize_name(re.split(r"[=\[ ;]", entry, maxsplit=1)[0])
            entries[name] = entries.get(name, "") + entry
    return entries


def copy(checkout: Path, service: str, environment: Path) -> None:
    """Copy an image's code as it lies in the checkout, so that migrations are found beside their packages."""
    target = environment / "src"
    for folder in folders(checkout, service):
        shutil.copytree(
            folder, target / folder.relative_to(checkout), ignore=shutil.ignore_patterns(*NOT_CODE, "__pycache__")
        )
    (site_packages,) = environment.glob("lib/python*/site-packages")
    paths = [str(target / folder.relative_to(checkout)) for folder in folders(checkout, service)]
    (site_packages / "rialto.pth").write_text("\n".join(paths) + "\n")


def main(arguments: list[str]) -> int:
    """Run the command line; returns the exit status."""
    match arguments:
        case ["--copy", checkout, service, environment]:
            copy(Path(checkout), service, Path(environment))
        case [checkout, service, lock]:
            entries = pinned(Path(lock).read_text())
            names = closure(declared(Path(checkout), service))
            sys.stdout.write("".join(entries[name] for name in sorted(names)))
        case _:
            sys.stderr.write(__doc__ or "")
            return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
