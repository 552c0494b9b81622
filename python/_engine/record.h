/* record.h: `Record`: the one-row view that callbacks get as `batch`. */
#ifndef MARTLET_PY_RECORD_H
#define MARTLET_PY_RECORD_H

#include "rows.h"

/* `rows.offset` is the row, `rows.length` is 1. The operator moves it from row to row as long as nobody else holds it.
 */
typedef struct record_object {
  PyObject_HEAD rows rows;
} record_object;

int record_init(PyObject *module, engine_state *st);
/* Retains the batch. New. */
record_object *record_new(engine_state *st, const martlet_batch *batch, int64_t row, PyObject *like_names,
                          PyObject *like_index);

#endif
