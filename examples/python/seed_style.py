"""A plain function in place of a class: the state is a module-level object that is handed to apply_process_function.

A state without a dtype holds any JSON-like value. `get_json` and `set_json` hold it to what JSON can say.
"""

import martlet as mt
from martlet import ValueState, apply_process_function

count = ValueState("count")


def my_fn(key, batch, row, ctx):
    seen = count.get_json() or {"visits": 0, "pages": []}
    seen["visits"] += 1
    if batch["page"] not in seen["pages"]:
        seen["pages"].append(batch["page"])
    count.set_json(seen)  # what get_json() gave is a copy: nothing is stored until it is set
    ctx.emit(batch, visits=seen["visits"], pages=len(seen["pages"]))  # the record and two more columns


stream = mt.stream(
    [
        {"user_id": "ann", "page": "/"},
        {"user_id": "bob", "page": "/prices"},
        {"user_id": "ann", "page": "/docs"},
        {"user_id": "ann", "page": "/"},
    ]
)
out = apply_process_function(stream, "user_id", my_fn, count)
rows = out.to_pylist()
for record in rows:
    print(record)

assert rows == [
    {"user_id": "ann", "page": "/", "visits": 1, "pages": 1},
    {"user_id": "bob", "page": "/prices", "visits": 1, "pages": 1},
    {"user_id": "ann", "page": "/docs", "visits": 2, "pages": 2},
    {"user_id": "ann", "page": "/", "visits": 3, "pages": 2},
]

# The same with the state declared in the call and found by its name.
by_name = apply_process_function(
    stream,
    "user_id",
    lambda key, batch, row, ctx: (
        ctx.state("count").set((ctx.state("count").get() or 0) + 1) or ctx.emit(user_id=key, n=ctx.state("count").get())
    ),
    ValueState("count"),
)
assert [record["n"] for record in by_name.to_pylist()] == [1, 1, 2, 3]
