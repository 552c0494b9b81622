/* keeper.h: state that lives elsewhere. Whoever runs an operator may give it a keeper, a Python object that is asked before a
 * state of the current key is read and told after it was written. It fills the engine's state through the same handles, so that
 * whatever kept it, a callback sees the values, types and errors of the engine.
 *
 *   keeper.before(index, what, key)   before the state declared at `index` is read; what: KEEPER_WHOLE or KEEPER_ENTRY
 *   keeper.after(index, what, key)    after it was written; what: KEEPER_WHOLE, KEEPER_ENTRY, KEEPER_APPENDED or KEEPER_CLEARED
 *
 * `key` is the key of a map's entry for KEEPER_ENTRY, otherwise None. What the keeper itself does to a state is not reported. */
#ifndef MARTLET_PY_KEEPER_H
#define MARTLET_PY_KEEPER_H

#include "operator.h"

typedef enum keeper_scope { KEEPER_WHOLE, KEEPER_ENTRY, KEEPER_APPENDED, KEEPER_CLEARED } keeper_scope;

int keeper_call(state_object *self, state_binding *binding, const char *method, keeper_scope scope, PyObject *key);
/* Makes `keeper` the operator's; None for none. */
void keeper_set(operator_object *operator, PyObject *keeper);

static inline bool keeper_listens(const state_binding *binding) {
  return binding->operator && binding->operator->keeper && !binding->operator->keeper_is_busy;
}

/* 0, or -1 with the exception of the keeper. */
static inline int keeper_before(state_object *self, state_binding *binding, keeper_scope scope, PyObject *key) {
  return keeper_listens(binding) ? keeper_call(self, binding, "before", scope, key) : 0;
}

static inline int keeper_after(state_object *self, state_binding *binding, keeper_scope scope, PyObject *key) {
  return keeper_listens(binding) ? keeper_call(self, binding, "after", scope, key) : 0;
}

#endif
