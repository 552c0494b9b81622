/* temporal.h: Arrow dates, times, timestamps and durations as objects of the datetime module, and back. */
#ifndef MARTLET_PY_TEMPORAL_H
#define MARTLET_PY_TEMPORAL_H

#include "engine.h"

int temporal_init(engine_state *st);
/* The value of a column of type date, time, timestamp or duration whose element is `raw`. Python counts microseconds:
 * nanoseconds are floored. New, or NULL with an exception. */
PyObject *temporal_to_python(engine_state *st, const martlet_column *field, int64_t raw);

typedef enum temporal_result {
  TEMPORAL_OK,
  TEMPORAL_MISMATCH,     /* another type of object */
  TEMPORAL_NAIVE,        /* a naive datetime for a column with a time zone */
  TEMPORAL_AWARE,        /* an aware datetime (or time) for a column without one */
  TEMPORAL_OUT_OF_RANGE, /* does not fit the column's unit */
  TEMPORAL_FAILED        /* an exception is set */
} temporal_result;

/* The element for `value`; what the unit cannot hold is floored. */
temporal_result temporal_from_python(engine_state *st, const martlet_column *field, PyObject *value, int64_t *raw);

bool temporal_is_datetime(engine_state *st, PyObject *value);
bool temporal_is_date(engine_state *st, PyObject *value);
bool temporal_is_time(engine_state *st, PyObject *value);
bool temporal_is_timedelta(engine_state *st, PyObject *value);
bool temporal_is_aware(PyObject *datetime);

#endif
