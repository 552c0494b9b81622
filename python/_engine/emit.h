/* emit.h: ctx.emit in its five forms. */
#ifndef MARTLET_PY_EMIT_H
#define MARTLET_PY_EMIT_H

#include "context.h"

PyObject *context_emit(context_object *self, PyObject *const *args, Py_ssize_t n_args, PyObject *kwnames);
/* Drops the plans and what belongs to the output. */
void emission_end(emission *self);

#endif
