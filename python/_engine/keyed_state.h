/* keyed_state.h: `ctx.apply_to_keyed_state`. */
#ifndef MARTLET_PY_KEYED_STATE_H
#define MARTLET_PY_KEYED_STATE_H

#include "context.h"

PyObject *context_apply_to_keyed_state(context_object *self, PyObject *const *args, Py_ssize_t n_args);

#endif
