"""The generator of the Nexmark examples keeps the published rules: shares, hot keys, ids, times, prices, lengths."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

sys.path.append(str(Path(__file__).resolve().parents[2] / "examples" / "python" / "nexmark"))

np = pytest.importorskip("numpy")
pa = pytest.importorskip("pyarrow")

from generator import START_MS, Nexmark  # noqa: E402

EVENTS = 500_000
KINDS = ("persons", "auctions", "bids")
HOUSE = Nexmark(EVENTS)


def column(kind: str, name: str, house: Nexmark = HOUSE) -> Any:
    return getattr(house, kind).column(name).to_numpy()


def near(found: float, expected: float, trials: int) -> bool:
    """Whether a share among so many trials is within five standard deviations."""
    return bool(abs(found - expected) < 5 * (expected * (1 - expected) / trials) ** 0.5)


def newest(kind: str, at: str) -> Any:
    """The newest id of a kind when each event of kind `at` happens, from the places in the rounds of 50."""
    rounds, place = np.divmod(np.arange(len(column(at, "ts"))), {"persons": 1, "auctions": 3, "bids": 46}[at])
    if kind == "persons":
        return 1000 + rounds
    return 1000 + rounds * 3 + (place if at == "auctions" else 2)


def test_of_fifty_events_one_is_a_person_three_are_auctions() -> None:
    assert [getattr(HOUSE, kind).num_rows for kind in KINDS] == [EVENTS // 50, EVENTS // 50 * 3, EVENTS // 50 * 46]
    assert [getattr(Nexmark(51), kind).num_rows for kind in KINDS] == [2, 3, 46]


def test_ids_count_up() -> None:
    for kind in ("persons", "auctions"):
        ids = column(kind, "id")
        assert (ids == 1000 + np.arange(len(ids))).all()


@pytest.mark.parametrize("per_second", [10_000, 100, 3])
def test_events_are_evenly_spaced(per_second: int) -> None:
    house = Nexmark(5_000, per_second=per_second)
    times = np.sort(np.concatenate([column(kind, "ts", house) for kind in KINDS]))
    assert (times == START_MS + np.arange(5_000) * 1000 // per_second).all()
    for kind in KINDS:
        assert (np.diff(column(kind, "ts", house)) >= 0).all()


def test_ids_refer_to_what_exists_or_soon_will() -> None:
    references = [("auctions", "seller", "persons", 1000), ("bids", "bidder", "persons", 1000)]
    references += [("bids", "auction", "auctions", 100)]
    for kind, name, other, active in references:
        ahead = column(kind, name) - newest(other, kind)
        assert ahead.max() == 10 and (column(kind, name) >= 1000).all()
        hot = column(kind, name) % 100 == (name == "bidder")  # a hot one may be older than the oldest active one
        assert ahead[~hot].min() >= -active - (other == "auctions")
    assert (column("bids", "auction") <= newest("auctions", "bids")).mean() > 0.9


@pytest.mark.parametrize(
    ("kind", "name", "other", "ratio", "step"),
    [
        ("auctions", "seller", "persons", 4, 0),
        ("bids", "bidder", "persons", 4, 1),
        ("bids", "auction", "auctions", 2, 0),
    ],
)
def test_hot_ones(kind: str, name: str, other: str, ratio: int, step: int) -> None:
    hot = (newest(other, kind) - 1000) // 100 * 100 + step + 1000
    is_hot = column(kind, name) == hot
    by_chance = 1 / 100  # at most: the hot one drawn among the others
    assert 1 - 1 / ratio - 0.01 < is_hot.mean() < 1 - 1 / ratio + by_chance / ratio + 0.01
    others = column(kind, name)[~is_hot]
    assert Counter(others.tolist()).most_common(1)[0][1] < len(others) / 100, "nobody else is hot"


def test_auctions_close_within_their_horizon() -> None:
    lasted = column("auctions", "expires") - column("auctions", "ts")
    horizon = 100 * 50 // 3 * 1000 // 10_000  # the time of 100 auctions
    assert lasted.min() == 1 and lasted.max() in (2 * horizon, 2 * horizon + 1, 2 * horizon + 2)
    assert abs(lasted.mean() - horizon) < 0.05 * horizon


def test_prices_are_spread_evenly_over_six_orders_of_magnitude() -> None:
    for kind, name in (("bids", "price"), ("auctions", "initial_bid")):
        orders = Counter(np.floor(np.log10(column(kind, name))).astype(int).tolist())
        total = orders.total()
        assert set(orders) <= set(range(2, 9))
        assert all(near(orders[order] / total, 1 / 6, total) for order in range(2, 8))
    assert (column("auctions", "reserve") > column("auctions", "initial_bid")).all()


def test_categories_states_and_channels() -> None:
    for values, options in (
        (column("auctions", "category").tolist(), {10, 11, 12, 13, 14}),
        (HOUSE.persons["state"].to_pylist(), {"AZ", "CA", "ID", "OR", "WA", "WY"}),
    ):
        counts = Counter(values)
        assert set(counts) == options
        assert all(near(count / len(values), 1 / len(options), len(values)) for count in counts.values())
    channels = Counter(HOUSE.bids["channel"].to_pylist())
    hot = [channels[name] for name in ("Google", "Facebook", "Baidu", "Apple")]
    assert all(near(count / channels.total(), 1 / 8, channels.total()) for count in hot)
    assert 9_990 < len(channels) <= 10_004
    urls = dict(zip(HOUSE.bids["channel"].to_pylist(), HOUSE.bids["url"].to_pylist(), strict=True))
    assert len({*zip(HOUSE.bids["channel"].to_pylist(), HOUSE.bids["url"].to_pylist(), strict=True)}) == len(urls)


@pytest.mark.parametrize(("kind", "size"), [("persons", 200), ("auctions", 500), ("bids", 100)])
def test_rows_have_their_size(kind: str, size: int) -> None:
    table = getattr(HOUSE, kind).drop_columns(["channel", "url"] if kind == "bids" else [])
    rows = table.num_rows
    total = sum(
        int(pa.compute.sum(pa.compute.binary_length(values)).as_py()) if pa.types.is_string(values.type) else 8 * rows
        for values in table.columns
    )
    assert abs(total / rows - size) < 0.08 * size


def test_the_same_seed_gives_the_same_events_in_pieces_too() -> None:
    assert Nexmark(EVENTS).bids.equals(HOUSE.bids)
    for kind in KINDS:
        pieces = [getattr(Nexmark(777, first=first), kind) for first in range(0, 7770, 777)]
        assert pa.concat_tables(pieces).equals(getattr(Nexmark(7770), kind))
        assert not getattr(Nexmark(7770, seed=2), kind).equals(getattr(Nexmark(7770), kind))
        assert getattr(Nexmark(0), kind).num_rows == 0


def test_events_out_of_order_are_the_same_events() -> None:
    shuffled = Nexmark(100_000, out_of_order=1_000)
    for kind in KINDS:
        assert getattr(shuffled, kind).sort_by("ts").num_rows == getattr(Nexmark(100_000), kind).num_rows
        times = column(kind, "ts", shuffled)
        delay = int((np.maximum.accumulate(times) - times).max())
        assert 0 < delay <= shuffled.greatest_delay_ms == 100
    assert sorted(column("auctions", "id", shuffled)) == sorted(column("auctions", "id", Nexmark(100_000)))


@pytest.mark.parametrize("settings", [{"events": -1}, {"first": -1}, {"per_second": 0}, {"out_of_order": 953}])
def test_settings_that_make_no_sense(settings: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="at least"):
        Nexmark(**{"events": 1, **settings})
