"""Sessions: a user's visits belong together until half an hour passes without one. Timers find the end of a session.

The records are out of order by up to a minute. The watermark waits for that long, so that a session ends exactly when
no record that is still to come can belong to it.
"""

import martlet as mt

MINUTE = 60_000
GAP = 30 * MINUTE


class Sessions(mt.ProcessFunction):
    # The session that is open, as [start, end, visits]: a state without a dtype holds any JSON-like value.
    session = mt.ValueState("session")

    def on_event(self, key, batch, row, ctx):
        start, end, visits = self.session.get() or (ctx.timestamp, ctx.timestamp, 0)
        ctx.delete_event_time_timer(end + GAP)
        if ctx.timestamp > end + GAP:  # that timer was about to fire, right after this record
            self.report(key, ctx)
            start, end, visits = ctx.timestamp, ctx.timestamp, 0
        start, end = min(start, ctx.timestamp), max(end, ctx.timestamp)
        self.session.set([start, end, visits + 1])
        ctx.register_event_time_timer(end + GAP)

    def on_timer(self, key, fire_time_ms, ctx):
        self.report(key, ctx)
        self.session.clear()  # a user without state and timers costs nothing

    def report(self, key, ctx):
        start, end, visits = self.session.get()
        ctx.emit(user=key, start_min=start // MINUTE, end_min=end // MINUTE, visits=visits)


visits = [("ann", 0), ("bob", 5), ("ann", 20), ("ann", 19), ("bob", 34), ("ann", 60), ("ann", 75), ("bob", 200)]
events = mt.stream(
    [{"user": user, "ts": minute * MINUTE} for user, minute in visits], timestamp="ts", watermark="1m", name="visits"
)
sessions = events.key_by("user").process(Sessions())
for session in (found := sessions.to_pylist()):
    print(session)

assert found == [
    {"user": "ann", "start_min": 0, "end_min": 20, "visits": 3},
    {"user": "bob", "start_min": 5, "end_min": 34, "visits": 2},
    {"user": "ann", "start_min": 60, "end_min": 75, "visits": 2},
    {"user": "bob", "start_min": 200, "end_min": 200, "visits": 1},
]
