"""Sessions: a user's visits belong together until half an hour passes without one. Timers find the end of a session.

The records are out of order by up to a minute. The watermark waits for that long, so that a session ends exactly when
no record that is still to come can belong to it.
"""

import martlet as mt

MINUTE = 60_000
GAP = 30 * MINUTE


class Sessions(mt.ProcessFunction):
    # The open sessions, start -> [end, visits]. There may be two until it is certain that no visit comes between them.
    sessions = mt.MapState("sessions", int)

    def on_event(self, key, batch, row, ctx):
        start = end = ctx.timestamp
        visits = 1
        for other_start, (other_end, other_visits) in self.sessions.items():
            if other_start - GAP <= end and start <= other_end + GAP:  # the visit belongs to this session
                self.sessions.remove(other_start)
                ctx.delete_event_time_timer(other_end + GAP)
                start, end, visits = min(start, other_start), max(end, other_end), visits + other_visits
        self.sessions.put(start, [end, visits])
        ctx.register_event_time_timer(end + GAP)

    def on_timer(self, key, fire_time_ms, ctx):
        for start, (end, visits) in self.sessions.items():
            if end + GAP == fire_time_ms:
                ctx.emit(user=key, start_min=start / MINUTE, end_min=end / MINUTE, visits=visits)
                self.sessions.remove(start)  # a user without state and timers costs nothing


visits = [("ann", 0), ("bob", 5), ("ann", 20), ("ann", 19), ("bob", 34), ("ann", 60), ("ann", 75), ("bob", 200)]
visits += [("ann", 300), ("ann", 330.5), ("ann", 329.9)]  # the last one joins the two before it
records = [{"user": user, "ts": int(minute * MINUTE)} for user, minute in visits]
events = mt.stream(records, timestamp="ts", watermark="1m", name="visits")
sessions = events.key_by("user").process(Sessions())
for session in (found := sessions.to_pylist()):
    print(session)

assert found == [
    {"user": "ann", "start_min": 0, "end_min": 20, "visits": 3},
    {"user": "bob", "start_min": 5, "end_min": 34, "visits": 2},
    {"user": "ann", "start_min": 60, "end_min": 75, "visits": 2},
    {"user": "bob", "start_min": 200, "end_min": 200, "visits": 1},
    {"user": "ann", "start_min": 300, "end_min": 330.5, "visits": 3},
]
