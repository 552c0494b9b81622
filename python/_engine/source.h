/* source.h: Python iterables as a source of the engine. */
#ifndef MARTLET_PY_SOURCE_H
#define MARTLET_PY_SOURCE_H

#include "engine.h"

struct job_object;
typedef struct source_object source_object;

#define SOURCE_ROWS_PER_BATCH 4096

int source_init(PyObject *module, engine_state *st);
/* `items`: a list or tuple of dicts, known to the end and given in batches of SOURCE_ROWS_PER_BATCH rows, when
 * `all_rows`; otherwise an iterator of dicts, each given as soon as it comes, or of Arrow objects. `declared` is a
 * schema for dicts, or None. `places`: how the source tells where it stands, see places_open. `reading`: a
 * martlet.sources.reading.Reading, which is `items` and has the partition of what came last; or None. New. */
source_object *source_new(engine_state *st, struct job_object *job, PyObject *name, PyObject *items, bool all_rows,
                          PyObject *declared, PyObject *places, PyObject *reading);
/* The callbacks; the context is borrowed, the job keeps it alive until its engine job is gone. */
martlet_source source_callbacks(source_object *self);

#endif
