"""Persons, auctions and bids after the rules of the Nexmark benchmark, for recipes that flights do not fit.

Nexmark (https://datalab.cs.pdx.edu/niagara/NEXMark) is an auction house as a stream. The rules are those of Apache
Beam's generator: of 50 events one is a new person, three are new auctions and 46 are bids; events are evenly spaced;
half of the bids go to one hot auction and three quarters come from one hot bidder, which change as time goes on; prices
are spread evenly over the orders of magnitude. Left out are the fields that only fill space.

The same seed gives the same events, on every machine.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random
from typing import Any

import polars as pl

START_MS = 1_436_918_400_000  # 2015-07-15, Beam's base time
FIRST_ID = 1000
PERSONS, AUCTIONS, BIDS = 1, 3, 46
ROUND = PERSONS + AUCTIONS + BIDS
HOT_SHARE = {"auction": 2, "bidder": 4, "seller": 4}  # 1 − 1/n of the choices are the hot one
HOT_STEP = 100  # every hundredth person and auction gets its turn at being hot
ACTIVE_PERSONS, AUCTIONS_IN_FLIGHT, LEAD = 1000, 100, 10  # LEAD: ids of the near future are bid on, and bid, too

FIRST_NAMES = ["Peter", "Paul", "Luke", "John", "Saul", "Vicky", "Kate", "Julie", "Sarah", "Deiter", "Walter"]
LAST_NAMES = ["Shultz", "Abrams", "Spencer", "White", "Bartels", "Walton", "Smith", "Jones", "Noris"]
CITIES = [("Phoenix", "AZ"), ("Los Angeles", "CA"), ("Boise", "ID"), ("Portland", "OR"), ("Seattle", "WA")]


@dataclass
class Nexmark:
    """`persons`, `auctions` and `bids` of the first `events` events, each in order of `ts` (epoch milliseconds).

    `per_second` is the rate of all events together (Beam's default is 10,000).
    """

    events: int
    per_second: int = 10_000
    seed: int = 1
    persons: pl.DataFrame = field(init=False)
    auctions: pl.DataFrame = field(init=False)
    bids: pl.DataFrame = field(init=False)

    def __post_init__(self) -> None:
        self._random = Random(self.seed)
        rows: tuple[list[dict[str, Any]], ...] = ([], [], [])
        for n in range(self.events):
            offset = n % ROUND
            if offset < PERSONS:
                rows[0].append(self._person(n))
            elif offset < PERSONS + AUCTIONS:
                rows[1].append(self._auction(n))
            else:
                rows[2].append(self._bid(n))
        self.persons, self.auctions, self.bids = (pl.DataFrame(kind) for kind in rows)

    def _time(self, n: int) -> int:
        return START_MS + n * 1000 // self.per_second

    def _person(self, n: int) -> dict[str, Any]:
        city, state = self._random.choice(CITIES)
        name = f"{self._random.choice(FIRST_NAMES)} {self._random.choice(LAST_NAMES)}"
        return {"ts": self._time(n), "id": FIRST_ID + _last_person(n), "name": name, "city": city, "state": state}

    def _auction(self, n: int) -> dict[str, Any]:
        first_bid = self._price()
        horizon = self._time(n + AUCTIONS_IN_FLIGHT * ROUND // AUCTIONS) - self._time(n)
        return {
            "ts": self._time(n),
            "id": FIRST_ID + _last_auction(n),
            "seller": self._hot_or("seller", _last_person(n), self._any_person(n)),
            "category": 10 + self._random.randrange(5),
            "initial_bid": first_bid,
            "reserve": first_bid + self._price(),
            "expires": self._time(n) + 1 + self._random.randrange(max(2 * horizon, 1)),
        }

    def _bid(self, n: int) -> dict[str, Any]:
        oldest = max(_last_auction(n) - AUCTIONS_IN_FLIGHT, 0)
        any_auction = oldest + self._random.randrange(_last_auction(n) - oldest + 1 + LEAD)
        return {
            "ts": self._time(n),
            "auction": self._hot_or("auction", _last_auction(n), any_auction),
            "bidder": self._hot_or("bidder", _last_person(n), self._any_person(n)),
            "price": self._price(),  # cents
        }

    def _any_person(self, n: int) -> int:
        persons = _last_person(n) + 1
        active = min(persons, ACTIVE_PERSONS)
        return persons - active + self._random.randrange(active + LEAD)

    def _hot_or(self, kind: str, last: int, other: int) -> int:
        is_hot = self._random.randrange(HOT_SHARE[kind]) > 0
        hot = last // HOT_STEP * HOT_STEP + (kind == "bidder")  # so that the hot bidder is not the hot seller
        return FIRST_ID + (hot if is_hot else other)

    def _price(self) -> int:
        return round(10 ** (self._random.random() * 6) * 100)


def _last_person(n: int) -> int:
    """The number of the newest person at event `n`, from 0."""
    return n // ROUND


def _last_auction(n: int) -> int:
    """The number of the newest auction at event `n`, from 0."""
    rounds, offset = divmod(n, ROUND)
    return max(rounds * AUCTIONS + min(offset - PERSONS, AUCTIONS - 1), 0)
