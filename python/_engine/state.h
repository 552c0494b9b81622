/* state.h: `ValueState`: the declaration of a state and, inside a callback, the handle to the current key's value. */
#ifndef MARTLET_PY_STATE_H
#define MARTLET_PY_STATE_H

#include "engine.h"

struct operator_object;

/* A live handle: which engine state, and the operator it belongs to (for messages). */
typedef struct state_binding {
  martlet_state *handle;
  struct operator_object *operator; /* borrowed: outlives its bindings */
} state_binding;

typedef struct value_state_object {
  PyObject_HEAD PyObject *name; /* str */
  PyObject *dtype;              /* as declared; None: dynamic values */
  PyObject *default_value;
  PyObject *spec;         /* Arrow format as str; None: dynamic values */
  martlet_builder *typed; /* holds `field`; NULL: dynamic values */
  const martlet_column *field;
  /* A copy that belongs to one operator is bound for every thread. A declaration that several operators may share, each
   * on its own thread, is bound per thread: the first one inline, the others in `others` (thread state → capsule). */
  int is_private;
  PyThreadState *thread;
  state_binding binding;
  PyObject *others;
} value_state_object;

int state_init(PyObject *module, engine_state *st);
/* The Arrow format of the slot; NULL for dynamic values. */
const char *state_format(value_state_object *self);

#endif
