"""The committed artefacts are what the sources compile to, byte for byte."""

import subprocess
from pathlib import Path

from rialto_chain_bridge.adapters.contracts import load_artefact

SERVICE = Path(__file__).parents[2]


def test_the_artefacts_compile_to_the_same_bytes(tmp_path: Path) -> None:
    subprocess.run([SERVICE / "contracts" / "build.sh", tmp_path], check=True, capture_output=True, timeout=240)
    committed = SERVICE / "rialto_chain_bridge" / "artifacts"
    compiled = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert compiled == {path.name: path.read_bytes() for path in committed.iterdir()}
    assert set(compiled) == {"RialtoSettlement.json", "RialtoTestStablecoin.json"}


def test_the_contracts_errors_are_known_by_name() -> None:
    errors = set(load_artefact("RialtoSettlement").errors.values())
    assert {"SettlementConflict", "InvalidSettlement", "EnforcedPause"} <= errors
