"""Persons, auctions and bids after the rules of the Nexmark benchmark: an auction house as three streams.

The rules are those of Apache Beam's and Flink's generators (https://github.com/nexmark/nexmark):

- Of 50 events one is a new person, three are new auctions, 46 are bids. Events are evenly spaced, and share a
  millisecond when there are more than 1,000 a second.
- Ids count up from 1000. An auction is sold by, and a bid comes from, one of the 1,000 newest persons; a bid goes to
  one of the 100 newest auctions. In all three the next ten ids are among the choices, so that some refer to what is yet
  to come.
- Some are hot: three auctions in four have the hot seller, three bids in four the hot bidder, every second bid goes to
  the hot auction. Every hundredth person and auction becomes the hot one, until the next hundredth does. The hot
  bidder is the person after the hot seller.
- An auction closes after 1 ms to twice the time in which 100 auctions are opened. Its reserve is its initial bid and as
  much again, drawn anew. Prices are spread evenly over six orders of magnitude, in cents.
- Half of the bids come through one of four hot channels, the rest through one of 10,000.
- `extra` and the other texts fill a person up to about 200 bytes, an auction to 500 and a bid to 100.

Unlike Flink's, and like Beam's, bidders have ids of persons: Flink's generator adds 1000 to them twice.

Every field of an event is a hash of the seed, the event's number and the field, and never of what was drawn before. So
the same seed gives the same events, in one piece or in several (`first`), and a table nobody asks for costs nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Ints = npt.NDArray[np.int64]

START_MS = 1_436_918_400_000  # 2015-07-15, Beam's base time
FIRST_ID, FIRST_CATEGORY = 1000, 10
PERSONS, AUCTIONS, BIDS = 1, 3, 46
ROUND = PERSONS + AUCTIONS + BIDS
HOT_SELLERS, HOT_AUCTIONS, HOT_BIDDERS, HOT_CHANNELS = 4, 2, 4, 2  # 1 − 1/n of the choices are the hot one
HOT_STEP = 100  # every hundredth person and auction gets its turn at being hot
ACTIVE_PERSONS, AUCTIONS_IN_FLIGHT, LEAD = 1000, 100, 10
CATEGORIES, CHANNELS = 5, 10_000

FIRST_NAMES = ["Peter", "Paul", "Luke", "John", "Saul", "Vicky", "Kate", "Julie", "Sarah", "Deiter", "Walter"]
LAST_NAMES = ["Shultz", "Abrams", "Spencer", "White", "Bartels", "Walton", "Smith", "Jones", "Noris"]
CITIES = ["Phoenix", "Los Angeles", "San Francisco", "Boise", "Portland", "Bend", "Redmond", "Seattle", "Kent"]
CITIES += ["Cheyenne"]
STATES = ["AZ", "CA", "ID", "OR", "WA", "WY"]
HOT_CHANNEL_NAMES = ["Google", "Facebook", "Baidu", "Apple"]
PERSON_BYTES, AUCTION_BYTES, BID_BYTES = 200, 500, 100  # on average, texts and 8 bytes for each number


@dataclass(frozen=True)
class Nexmark:
    """`persons`, `auctions` and `bids` of the events `first` to `first + events`, as Arrow tables.

    - `per_second`: how many events there are in a second of event time, all kinds together.
    - `out_of_order`: the size of groups of events that arrive shuffled (Beam's outOfOrderGroupSize); 1 is in order.

    Each table has its event time as `ts` (epoch milliseconds) and is in order of arrival.
    """

    events: int
    per_second: int = 10_000
    seed: int = 1
    first: int = 0
    out_of_order: int = 1

    def __post_init__(self) -> None:
        if self.events < 0 or self.first < 0 or self.per_second <= 0:
            raise ValueError("events and first are at least 0, per_second at least 1")
        if self.out_of_order < 1 or self.out_of_order % 953 == 0:
            raise ValueError("out_of_order is at least 1 and no multiple of 953, the step of the shuffle")

    @property
    def greatest_delay_ms(self) -> int:
        """How far `ts` may lie behind an earlier one: the bound for a watermark."""
        return -(-(self.out_of_order - 1) * 1000 // self.per_second)

    @cached_property
    def persons(self) -> pa.Table:
        n = self._numbers(0, PERSONS)
        draw = _Draw(self.seed, n)
        name = pc.binary_join_element_wise(draw.choice(FIRST_NAMES), draw.choice(LAST_NAMES), " ")
        email = pc.binary_join_element_wise(draw.text(7), "@", draw.text(5), ".com", "")
        digits = [f"{number:04d}" for number in range(10_000)]
        card = pc.binary_join_element_wise(*(draw.choice(digits) for _ in range(4)), " ")
        columns = {
            "ts": self._time(n),
            "id": FIRST_ID + _last_person(n),
            "name": name,
            "email": email,
            "credit_card": card,
            "city": draw.choice(CITIES),
            "state": draw.choice(STATES),
        }
        return pa.table({**columns, "extra": draw.extra(columns, PERSON_BYTES)})

    @cached_property
    def auctions(self) -> pa.Table:
        n = self._numbers(PERSONS, AUCTIONS)
        draw = _Draw(self.seed, n)
        time = self._time(n)
        initial_bid = draw.price()
        horizon = self._time(n + AUCTIONS_IN_FLIGHT * ROUND // AUCTIONS) - time
        columns = {
            "ts": time,
            "id": FIRST_ID + _last_auction(n),
            "item_name": draw.text(20),
            "description": draw.text(100),
            "initial_bid": initial_bid,
            "reserve": initial_bid + draw.price(),
            "expires": time + 1 + draw.below(np.maximum(2 * horizon, 1)),
            "seller": FIRST_ID + draw.hot_or(HOT_SELLERS, _hot(_last_person(n)), draw.person()),
            "category": FIRST_CATEGORY + draw.below(CATEGORIES),
        }
        return pa.table({**columns, "extra": draw.extra(columns, AUCTION_BYTES)})

    @cached_property
    def bids(self) -> pa.Table:
        n = self._numbers(PERSONS + AUCTIONS, BIDS)
        draw = _Draw(self.seed, n)
        last = _last_auction(n)
        oldest = np.maximum(last - AUCTIONS_IN_FLIGHT, 0)
        auction = oldest + draw.below(last - oldest + 1 + LEAD)
        hot_channel = draw.below(len(HOT_CHANNEL_NAMES))
        channel = draw.hot_or(HOT_CHANNELS, hot_channel, len(HOT_CHANNEL_NAMES) + draw.below(CHANNELS))
        names, urls = _channels(self.seed)
        columns = {
            "ts": self._time(n),
            "auction": FIRST_ID + draw.hot_or(HOT_AUCTIONS, _hot(last), auction),
            "bidder": FIRST_ID + draw.hot_or(HOT_BIDDERS, _hot(_last_person(n)) + 1, draw.person()),
            "price": draw.price(),
        }
        extra = draw.extra(columns, BID_BYTES)  # as in the origin, channels do not count
        return pa.table({**columns, "channel": names.take(channel), "url": urls.take(channel), "extra": extra})

    def _numbers(self, offset: int, length: int) -> Ints:
        """The numbers of the events of one kind, by their place in each round, in order of arrival."""
        n = np.arange(self.first, self.first + self.events, dtype=np.int64)
        if self.out_of_order > 1:
            n = n // self.out_of_order * self.out_of_order + n * 953 % self.out_of_order
        place = n % ROUND
        return n[(place >= offset) & (place < offset + length)]

    def _time(self, n: Ints) -> Ints:
        return START_MS + n * 1000 // self.per_second


def _last_person(n: Ints) -> Ints:
    """The number of the newest person at event `n`, from 0."""
    return n // ROUND


def _last_auction(n: Ints) -> Ints:
    """The number of the newest auction at event `n`, an auction or bid, from 0."""
    return n // ROUND * AUCTIONS + np.minimum(n % ROUND - PERSONS, AUCTIONS - 1)


def _hot(last: Ints) -> Ints:
    return last // HOT_STEP * HOT_STEP


def _channels(seed: int) -> tuple[pa.Array, pa.Array]:
    """The names and addresses of all channels, the hot ones first."""
    draw = _Draw(seed, np.arange(len(HOT_CHANNEL_NAMES) + CHANNELS, dtype=np.int64))
    parts = ("/".join(parts) for parts in zip(*(draw.text(5).to_pylist() for _ in range(3)), strict=True))
    numbers = range(-len(HOT_CHANNEL_NAMES), CHANNELS)
    has_number = draw.below(10) > 0
    urls = [
        f"https://www.nexmark.com/{part}/item.htm?query=1" + (f"&channel_id={number}" if number >= 0 and has else "")
        for part, number, has in zip(parts, numbers, has_number, strict=True)
    ]
    return pa.array([*HOT_CHANNEL_NAMES, *(f"channel-{number}" for number in range(CHANNELS))]), pa.array(urls)


class _Draw:
    """Random values for the events `n`, a field at a time: each call is the next field of all of them."""

    def __init__(self, seed: int, n: Ints) -> None:
        self._n = n
        self._base = _scrambled(np.array([seed], dtype=np.uint64)) + n.astype(np.uint64) * np.uint64(256)
        self._field = 0

    def bits(self) -> npt.NDArray[np.uint64]:
        self._field += 1
        return _scrambled(self._base + np.uint64(self._field))

    def below(self, limit: int | Ints) -> Ints:
        """From 0 to limit − 1, all alike; a limit is below 2³¹."""
        high = (self.bits() >> np.uint64(32)).astype(np.int64)
        scaled: Ints = high * limit >> 32
        return scaled

    def hot_or(self, ratio: int, hot: Ints, other: Ints) -> Ints:
        return np.where(self.below(ratio) > 0, hot, other)

    def person(self) -> Ints:
        persons = _last_person(self._n) + 1
        active = np.minimum(persons, ACTIVE_PERSONS)
        return persons - active + self.below(active + LEAD)

    def price(self) -> Ints:
        share = (self.bits() >> np.uint64(11)).astype(np.float64) * 2.0**-53
        return np.rint(10.0 ** (share * 6) * 100).astype(np.int64)

    def choice(self, values: list[str]) -> pa.Array:
        return pa.array(values).take(self.below(len(values)))

    def text(self, longest: int) -> pa.Array:
        """Three to `longest` − 1 letters."""
        return self._letters(3 + self.below(longest - 3))

    def extra(self, columns: dict[str, pa.Array | Ints], average: int) -> pa.Array:
        """Letters that fill a row up to `average` bytes, within a fifth."""
        used = np.zeros(len(self._n), dtype=np.int64)
        for column in columns.values():
            used += pc.binary_length(column).to_numpy().astype(np.int64) if isinstance(column, pa.Array) else 8
        missing = average - used
        delta = np.rint(missing * 0.2).astype(np.int64)
        return self._letters(np.maximum(missing - delta + self.below(np.maximum(2 * delta, 1)), 0))

    def _letters(self, lengths: Ints) -> pa.Array:
        """Pieces of one long random text."""
        pool = _Draw(0, np.arange(1 << 16, dtype=np.int64)).below(26).astype(np.uint8) + ord("a")
        ends = np.cumsum(lengths)
        starts = self.below(len(pool) - 1000)
        index = np.arange(ends[-1] if len(ends) else 0) + np.repeat(starts - (ends - lengths), lengths)
        offsets = np.concatenate([[0], ends]).astype(np.int64)
        buffers = [None, pa.py_buffer(offsets), pa.py_buffer(pool[index])]
        return pa.LargeStringArray.from_buffers(len(lengths), buffers[1], buffers[2]).cast(pa.string())


def _scrambled(x: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """The mixing step of SplitMix64 (Steele, Lea, Flood 2014): every bit of `x` changes half of the bits."""
    x = x + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))
