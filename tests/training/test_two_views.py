"""Learning without labels: the loss by plain loops, pairs in batches, a frozen trunk, an anchored palette."""

from __future__ import annotations

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from vision_rec.encoders import palette  # noqa: E402
from vision_rec.encoders.backbones import compact  # noqa: E402
from vision_rec.training.batches import Classes  # noqa: E402
from vision_rec.training.data import TASKS, Source  # noqa: E402
from vision_rec.training.two_views import (  # noqa: E402
    AnchoredPalette,
    PairedBatches,
    WatchedNetwork,
    shares_label,
    two_view_loss,
)


def test_the_loss_is_that_of_plain_loops():
    torch.manual_seed(0)
    rows = torch.randn(8, 5)
    related = torch.zeros(8, 8, dtype=torch.bool)
    related[0:2, 4:6] = related[4:6, 0:2] = True  # the first and the third product share a label
    unit = (rows / rows.norm(dim=1, keepdim=True)).tolist()
    expected = []
    for i in range(8):
        partner = i + 1 if i % 2 == 0 else i - 1
        cosines = [sum(a * b for a, b in zip(unit[i], unit[j], strict=True)) / 0.2 for j in range(8)]
        others = [j for j in range(8) if j not in (i, partner) and not related[i, j]]
        total = sum(math.exp(cosines[j]) for j in (*others, partner))
        expected.append(-math.log(math.exp(cosines[partner]) / total))
    assert float(two_view_loss(rows, related)) == pytest.approx(sum(expected) / 8, rel=1e-5)


def test_products_that_all_share_a_label_have_no_contrast():
    rows = torch.randn(6, 4, requires_grad=True)
    loss = two_view_loss(rows, torch.ones(6, 6, dtype=torch.bool))
    loss.backward()
    assert float(loss.detach()) == 0.0 and not rows.grad.abs().any()


def test_near_views_lose_little():
    rows = torch.eye(4).repeat_interleave(2, 0)
    apart = torch.zeros(8, 8, dtype=torch.bool)
    assert float(two_view_loss(rows, apart)) < 0.1 < float(two_view_loss(rows.roll(1, 0), apart))


def test_rows_share_a_label_where_a_class_is_common():
    members = torch.tensor([[1, 0], [1, 1], [0, 1], [0, 0]], dtype=torch.bool)
    found = shares_label(members)
    assert found.tolist() == [
        [True, True, False, False],
        [True, True, True, False],
        [False, True, True, False],
        [False, False, False, False],
    ]


@pytest.mark.parametrize("size", [8, 7])
def test_every_product_comes_twice_side_by_side(size):
    pixels = np.arange(20, dtype=np.uint8)[:, None, None, None].repeat(8, 1).repeat(8, 2).repeat(3, 3)
    labels = {task: [""] * 20 for task in TASKS} | {"article": ["mug", "lamp"] * 10}
    source = Source("catalog", pixels, labels, np.full(20, 2), np.zeros((20, 8, 8), bool))
    batches = PairedBatches([source], {"catalog": 1.0}, Classes.of([source]), {}, seed=2)
    raw = next(batches.stream(size))
    seen = raw.pixels[:, 0, 0, 0].tolist()
    assert len(seen) == size and len(raw.members["article"]) == size
    assert seen[0:6:2] == seen[1:6:2] and len(set(seen)) > 2
    assert [row % 2 == 1 for row in seen] == raw.members["article"][:, 0].tolist()  # lamps are odd


def test_a_frozen_trunk_stays_and_the_heads_learn():
    torch.manual_seed(0)
    network = WatchedNetwork(compact(), frozen=True).train()
    assert not network.trunk.training and network.style.training
    before = {name: value.clone() for name, value in network.trunk.state_dict().items()}
    views = network(torch.randn(4, 3, 32, 32))
    views.shape.sum().backward()
    assert network.last is views and network.shape[0].weight.grad is not None
    assert all(parameter.grad is None for parameter in network.trunk.parameters())
    assert all(torch.equal(before[name], value) for name, value in network.trunk.state_dict().items())
    assert WatchedNetwork(compact()).train().trunk.training


def test_the_palette_is_pulled_to_where_it_began():
    anchored = AnchoredPalette(torch.from_numpy(palette.table()))
    rng = np.random.default_rng(0)
    arrays = [rng.normal(size=shape).astype(np.float32) for shape in ((96, 96), (5, 96), (5,), (96, 5))]
    anchored.begin(palette.ColourMap(*arrays))
    assert float(anchored.smoothness().detach()) == 0.0
    with torch.no_grad():
        anchored.metric += 0.2
    assert float(anchored.smoothness().detach()) == pytest.approx(0.04, rel=1e-4)
    assert set(anchored.state_dict()) == set(AnchoredPalette(torch.from_numpy(palette.table())).state_dict())
    np.testing.assert_array_equal(anchored.colour_map().out, arrays[3])
