/* state_value.h: one value per key, which reducing and aggregating states keep as well. */
#ifndef MARTLET_PY_STATE_VALUE_H
#define MARTLET_PY_STATE_VALUE_H

#include "binding.h"
#include "values.h"

/* 1 and a new object, 0 when there is none, -1 with an exception. */
int value_get(state_object *self, state_binding *binding, PyObject **value);
/* Stores `value`, which is not None. 0 or -1. */
int value_set(state_object *self, state_binding *binding, PyObject *value, values_rules rules);

#endif
