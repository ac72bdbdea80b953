"""Small session pairs for tests: vectors with known neighbours, and an untrained network of known answers."""

from __future__ import annotations

import numpy as np

from vision_rec.fusion import AspectLayout, unit
from vision_rec.sessions.network import SequenceNetwork
from vision_rec.sessions.pair import behaviour_aspect, write_pair
from vision_rec.sessions.spec import SequenceSpec

DIM = 6


def vectors_of(count, *, seed=0, dim=DIM):
    """Return unit vectors (count, dim), float16 values, the last one zero."""
    found = unit(np.random.default_rng(seed).normal(size=(count, dim)).astype(np.float32))
    found[-1] = 0.0
    return found.astype(np.float16).astype(np.float32)


def network_of(layout, *, seed=0, event_types=6, length=8, kind="attention"):
    """Return a network with weights drawn large enough that its answers differ."""
    import torch

    spec = SequenceSpec(
        tuple(aspect.dim for aspect in layout.aspects),
        kind=kind, width=16, layers=1, heads=2, length=length, event_types=event_types,
    )  # fmt: skip
    torch.manual_seed(seed)
    network = SequenceNetwork(spec).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.ndim > 1:
                parameter.normal_(0.0, 0.3)
    return network


def make_pair(folder, ids, aspects=(), *, vectors=None, network=True, seed=0, **fields):
    """Write a pair for rows of `aspects` and then `behaviour`; return its fingerprint."""
    found = vectors_of(len(ids), seed=seed) if vectors is None else vectors
    layout = fields.pop("layout", None) or AspectLayout((*aspects, behaviour_aspect(found)))
    made = network_of(layout, seed=seed) if network is True else network
    options = {"space": "space-1", "notes": {"views": 12}, "layout": layout, **fields}
    return write_pair(
        folder,
        ids=ids,
        vectors=found,
        network={name: value.numpy() for name, value in made.state_dict().items()} if made else None,
        spec=made.spec.to_fields() if made else None,
        **options,
    )
