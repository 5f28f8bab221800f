"""Turn a stream of payments into the model's table, through the very code that the service runs."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from rialto_fraud.domain.features import FloatArray, Observation, extract_in_order
from training.simulator import World


def features_of(
    at: npt.NDArray[np.int64],
    amount_cents: npt.NDArray[np.int64],
    wallet: npt.NDArray[np.int64],
    terminal: npt.NDArray[np.int64],
) -> FloatArray:
    """Return the features of payments in the order given, from empty histories; terminal -1 means none."""
    columns = zip(at.tolist(), amount_cents.tolist(), wallet.tolist(), terminal.tolist(), strict=True)
    return extract_in_order(
        (
            Observation(wallet=f"w{owner}", terminal=f"t{place}" if place >= 0 else None, at=when, amount_cents=cents)
            for when, cents, owner, place in columns
        ),
        {},
        {},
    )


def world_features(world: World) -> FloatArray:
    """Return the features of a simulated world, from its cold first day on."""
    return features_of(world.at, world.amount_cents, world.wallet, world.terminal)
