/* rows.h: what the one-row view and the batch share: rows of a native batch with named columns. */
#ifndef MARTLET_PY_ROWS_H
#define MARTLET_PY_ROWS_H

#include "engine.h"

/* Rows [offset, offset + length) of `batch`. The names and their index are shared by all batches of one stream. */
typedef struct rows {
  martlet_batch *batch;
  const martlet_column *columns;
  int64_t offset;
  int64_t length;
  PyObject *names; /* tuple of interned str */
  PyObject *index; /* dict name → position */
} rows;

/* Takes the batch (retained by the caller). `like`, which may be NULL, gives its names when they are the same. 0 or -1;
 * on failure the batch is released. */
int rows_open(rows *self, martlet_batch *batch, int64_t offset, int64_t length, PyObject *like_names,
              PyObject *like_index);
void rows_close(rows *self);
/* The position of the column called `name`; -1 with MissingColumnError. */
int64_t rows_find(engine_state *st, const rows *self, PyObject *name);
PyObject *rows_schema(engine_state *st, const rows *self);
PyObject *rows_export(engine_state *st, const rows *self, PyObject *args, PyObject *kwargs);
PyObject *rows_export_schema(engine_state *st, const rows *self);
/* The row at `row` (from the first of these rows) as a dict. */
PyObject *rows_dict(engine_state *st, const rows *self, int64_t row);

#endif
