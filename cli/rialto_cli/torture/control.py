"""The test's side of rialto_common.faults: arms crash points, sees who died of them, moves services' clocks."""

from pathlib import Path

from rialto_common.faults import ARMED, CLAIMED, CLOCKS, clock_file


class Control:
    """Writes the directory that RIALTO_FAULTS_DIR names for the processes under test."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        for name in (ARMED, CLAIMED, CLOCKS):
            (directory / name).mkdir(parents=True, exist_ok=True)

    def arm(self, point: str) -> None:
        """Let the next process that comes to this crash point die there."""
        (self.directory / ARMED / point).touch()

    def disarm(self, point: str) -> None:
        """Let nobody die there any more."""
        (self.directory / ARMED / point).unlink(missing_ok=True)

    def victim(self, point: str) -> int | None:
        """The process that died of this crash point; None when none has yet."""
        for claimed in (self.directory / CLAIMED).glob(f"{point}.*"):
            name, _, pid = claimed.name.rpartition(".")
            if name == point:
                return int(pid)
        return None

    def forget(self) -> None:
        """Forget who died of what."""
        for claimed in (self.directory / CLAIMED).iterdir():
            claimed.unlink(missing_ok=True)

    def set_clock(self, service: str, seconds: float) -> None:
        """Let a service's wall clock be off by so many seconds; 0 puts it right."""
        clock = clock_file(self.directory, service.replace("-", "_"))
        if seconds == 0:
            clock.unlink(missing_ok=True)
            return
        written = clock.with_suffix(".new")
        written.write_text(str(seconds))
        written.replace(clock)  # never half a number

    def put_clocks_right(self) -> None:
        """End every service's error."""
        for clock in (self.directory / CLOCKS).iterdir():
            clock.unlink(missing_ok=True)
