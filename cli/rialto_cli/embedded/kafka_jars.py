"""What a Kafka broker is made of: the jars that Maven resolves from deploy/kafka/pom.xml, and a Java to run them.

    python -m rialto_cli.embedded.kafka_jars install    fetch and verify, unless that is done already
    python -m rialto_cli.embedded.kafka_jars check      say why there can be no broker here; exit status 1 then
    python -m rialto_cli.embedded.kafka_jars lock       write SHA256SUMS anew, after a change of pom.xml

Maven takes the jars from whichever repository this machine's Maven is set to; what counts is that their checksums are
those of SHA256SUMS.
"""

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from rialto_cli.console import Progress, show_error
from rialto_cli.embedded.files import write_atomically
from rialto_cli.errors import OperatorError

FOLDER = Path(__file__).parents[3] / "deploy" / "kafka"
JARS = FOLDER / "jars"
SUMS = FOLDER / "SHA256SUMS"
# Holds the digest of pom.xml and SHA256SUMS that the jars were verified against.
MARK = ".verified"
OLDEST_JAVA = 17
MAVEN_TIMEOUT_SECONDS = 900.0


@dataclass(frozen=True, slots=True)
class Java:
    """A usable Java: its program, and its major version."""

    program: Path
    version: int


def find_java() -> Java:
    """The Java of JAVA_HOME, or the one on the path.

    Raises: OperatorError: there is none that is new enough.
    """
    found = _find_java(os.environ.get("JAVA_HOME"), os.environ.get("PATH"))
    if found is None or found.version < OLDEST_JAVA:
        raise OperatorError(
            "Apache Kafka cannot run here",
            f"there is no Java {OLDEST_JAVA} or newer, neither in JAVA_HOME nor on the path"
            if found is None
            else f"{found.program} is Java {found.version}, and Kafka needs {OLDEST_JAVA} or newer",
            f"install a JDK {OLDEST_JAVA} and Maven (on Debian: apt install openjdk-17-jre-headless maven), "
            "or use the embedded bus: --bus postgres",
        )
    return found


@cache
def _find_java(home: str | None, path: str | None) -> Java | None:
    candidates = [Path(home) / "bin" / "java"] if home else []
    if (on_path := shutil.which("java", path=path)) is not None:
        candidates.append(Path(on_path))
    found = [Java(program, _java_version(program)) for program in candidates if program.exists()]
    return next((java for java in found if java.version >= OLDEST_JAVA), found[0] if found else None)


def _java_version(program: Path) -> int:
    try:
        answer = subprocess.run([program, "-version"], capture_output=True, text=True, timeout=30, check=True).stderr
    except (OSError, subprocess.SubprocessError):
        return 0
    # `openjdk version "17.0.15"`; before Java 9 it was `"1.8.0"`.
    match = re.search(r'version "(?:1\.)?(\d+)', answer)
    return 0 if match is None else int(match[1])


def why_not() -> str | None:
    """Why a broker cannot run on this machine, in a sentence; None when it can (its jars may still have to come)."""
    try:
        find_java()
        if not _is_verified():
            _find_maven()
    except OperatorError as error:
        return f"{error.why}; {error.next_step}"
    return None


def class_path() -> str:
    """The verified jars, for `java -cp`.

    Raises: OperatorError: they are not installed.
    """
    if not _is_verified():
        raise OperatorError(
            "Apache Kafka is not installed",
            f"its jars are not in {JARS}, or are not those of {SUMS.name}",
            "run `make kafka-jars` in the checkout (it needs a JDK and Maven)",
        )
    return f"{JARS}{os.sep}*"


def install(progress: Progress) -> bool:
    """Fetch the jars and verify each, unless that is done already; True when there was work to do.

    Raises: OperatorError: no Java, no Maven, Maven failed, or a jar is not what it was when its checksum was noted.
    """
    find_java()
    with _alone():
        if _is_verified():
            return False
        _fetch(progress)
        wrong = differences(_read_sums(), _sums_of(JARS))
        if wrong:
            raise OperatorError(
                "The Kafka broker's jars are not the expected ones",
                "; ".join(wrong[:3]) + ("" if len(wrong) <= 3 else f"; and {len(wrong) - 3} more"),
                "remove what your Maven has cached of them (~/.m2/repository), check where it fetches from, "
                "and run the command again",
            )
        write_atomically(JARS / MARK, _expectation())
    return True


@contextmanager
def _alone() -> Iterator[None]:
    """Whoever comes second waits, and finds the work done. The lock is on the folder itself and ends with us."""
    descriptor = os.open(FOLDER, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def differences(expected: dict[str, str], found: dict[str, str]) -> list[str]:
    """What is wrong with a folder of jars: each a sentence that names the jar. Both map a name to its SHA-256."""
    wrong = []
    for name in sorted(expected.keys() | found.keys()):
        if name not in found:
            wrong.append(f"{name} is missing")
        elif name not in expected:
            wrong.append(f"{name} has no checksum in {SUMS.name}")
        elif found[name] != expected[name]:
            wrong.append(f"{name} has the SHA-256 {found[name][:16]}…, not {expected[name][:16]}…")
    return wrong


def _fetch(progress: Progress) -> None:
    maven = _find_maven()
    progress.note("fetching the Kafka broker (45 jars, 43 MB) with Maven")
    progress.waiting("fetching the Kafka broker's jars")
    # Whatever lies there is from another pom.xml: a jar too many would be on the class path.
    shutil.rmtree(JARS, ignore_errors=True)
    command = [str(maven), "--quiet", "--batch-mode", "--file", str(FOLDER / "pom.xml")]
    command += ["dependency:copy-dependencies", "-DincludeScope=runtime", f"-DoutputDirectory={JARS}"]
    try:
        result = subprocess.run(
            command, cwd=FOLDER, capture_output=True, text=True, timeout=MAVEN_TIMEOUT_SECONDS, check=False
        )
        answer, status = result.stdout + result.stderr, f"it ended with status {result.returncode}"
        failed = result.returncode != 0
    except subprocess.TimeoutExpired:
        answer, status, failed = "", f"it had not finished after {MAVEN_TIMEOUT_SECONDS:.0f} s", True
    finally:
        progress.idle()
    if failed:
        errors = [line.removeprefix("[ERROR]").strip() for line in answer.splitlines() if line.startswith("[ERROR]")]
        raise OperatorError(
            "Maven could not fetch the Kafka broker",
            next((line for line in errors if line), status),
            "check the network and Maven's settings (~/.m2/settings.xml), then run the command again",
        )


def _find_maven() -> Path:
    found = shutil.which("mvn")
    if found is None:
        raise OperatorError(
            "Apache Kafka cannot be installed here",
            "Maven, which fetches its jars, is not on the path",
            "install it (on Debian: apt install maven), or use the embedded bus: --bus postgres",
        )
    return Path(found)


def _expectation() -> str:
    """Changes whenever the jars have to be fetched and verified again."""
    return hashlib.sha256((FOLDER / "pom.xml").read_bytes() + SUMS.read_bytes()).hexdigest()


def _is_verified() -> bool:
    mark = JARS / MARK
    return SUMS.exists() and mark.exists() and mark.read_text() == _expectation()


def _read_sums() -> dict[str, str]:
    """The lines of SHA256SUMS, in the format of `sha256sum`."""
    return {name: digest for digest, name in (line.split() for line in SUMS.read_text().splitlines())}


def _sums_of(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.glob("*.jar"))}


def lock(progress: Progress) -> None:
    """Fetch what pom.xml says now, and take its checksums down as the expected ones."""
    find_java()
    with _alone():
        _fetch(progress)
        write_atomically(SUMS, "".join(f"{digest}  {name}\n" for name, digest in _sums_of(JARS).items()))
        write_atomically(JARS / MARK, _expectation())


def main(arguments: Sequence[str]) -> int:
    """Run the command line; returns the exit status."""
    with Progress() as progress:
        match list(arguments):
            case ["install"]:
                done = install(progress)
                sys.stdout.write(f"kafka: {'jars fetched and verified' if done else 'the jars are up to date'}\n")
                return 0
            case ["check"]:
                reason = why_not()
                sys.stdout.write("" if reason is None else f"{reason}\n")
                return 0 if reason is None else 1
            case ["lock"]:
                lock(progress)
                sys.stdout.write(f"kafka: {SUMS} is written; look at its diff before you commit it\n")
                return 0
    sys.stderr.write(__doc__ or "")
    return 2


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except OperatorError as error:
        show_error(error)
        sys.exit(error.exit_status)
