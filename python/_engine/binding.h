/* binding.h: which engine state a `ValueState` stands for, in the running thread, while an operator's batch runs. */
#ifndef MARTLET_PY_BINDING_H
#define MARTLET_PY_BINDING_H

#include "state.h"

/* Binds for the running thread; `*previous` is what was bound before, to be given back to state_unbind: a callback may
 * run another job that uses the same declaration. 0 or -1. */
int state_bind(state_object *self, state_binding binding, state_binding *previous);
void state_unbind(state_object *self, state_binding previous);
/* The binding for the running thread, or NULL with StateAccessError. */
state_binding *state_bound(state_object *self);

#endif
