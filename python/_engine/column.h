/* column.h: `Column`: some rows of one column of a batch, as a sequence of Python values. */
#ifndef MARTLET_PY_COLUMN_H
#define MARTLET_PY_COLUMN_H

#include "engine.h"

int column_init(PyObject *module, engine_state *st);
/* Rows [offset, offset + length) of column number `index`; keeps the batch alive. New. */
PyObject *column_new(engine_state *st, const martlet_batch *batch, int64_t index, int64_t offset, int64_t length);
/* All its values as a list. New. */
PyObject *column_values(engine_state *st, const martlet_column *column, int64_t offset, int64_t length);

#endif
