/* emit.h: ctx.emit in its five forms. */
#ifndef MARTLET_PY_EMIT_H
#define MARTLET_PY_EMIT_H

#include "context.h"

PyObject *context_emit(context_object *self, PyObject *const *args, Py_ssize_t n_args, PyObject *kwnames);
/* The same into any output. */
PyObject *emit_through(context_object *self, emission *emission, PyObject *const *args, Py_ssize_t n_args,
                       PyObject *kwnames);
/* The output's columns are read again with the next row. */
void emission_forget_columns(emission *self);
/* Drops the plans and what belongs to the output. */
void emission_end(emission *self);

#endif
