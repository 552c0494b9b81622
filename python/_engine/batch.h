/* batch.h: `RecordBatch`: the rows a stream gives. */
#ifndef MARTLET_PY_BATCH_H
#define MARTLET_PY_BATCH_H

#include "rows.h"

typedef struct batch_object {
  PyObject_HEAD rows rows;
} batch_object;

int batch_init(PyObject *module, engine_state *st);
/* `batch` is moved, also on failure; `like` is a batch of the same stream or NULL. New. */
PyObject *batch_new(engine_state *st, martlet_batch *batch, batch_object *like);
/* A view of rows [row, row + length) of `batch`, which is retained. New. */
PyObject *batch_view(engine_state *st, const martlet_batch *batch, int64_t row, int64_t length, PyObject *like_names,
                      PyObject *like_index);

#endif
