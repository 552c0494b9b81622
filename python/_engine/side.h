/* side.h: ctx.emit_to: side outputs by tag. */
#ifndef MARTLET_PY_SIDE_H
#define MARTLET_PY_SIDE_H

#include "context.h"

/* One side output that was emitted to. */
typedef struct side_emission {
  PyObject *tag;
  emission emission;
} side_emission;

PyObject *context_emit_to(context_object *self, PyObject *const *args, Py_ssize_t n_args, PyObject *kwnames);
/* After close: forgets the side outputs. */
void sides_end(context_object *self);
/* A failed call may have been the one that gave an output its schema, which the engine takes back with all else: what is known
 * of the columns of every output is read again. */
void sides_forget_columns(context_object *self);

#endif
