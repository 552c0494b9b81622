#include "keeper.h"

#include "errors.h"

/* The number of the engine's state that a handle stands for, or -1 with an exception. */
static Py_ssize_t index_of(const operator_object *operator, const state_object *self) {
  for (Py_ssize_t i = 0; i < operator->n_states; i++)
    if (operator->states[i] == self) return operator->indices[i];
  PyErr_Format(PyExc_SystemError, "state '%U' is none of operator '%U'", self->name, operator->name);
  return -1;
}

int keeper_call(state_object *self, state_binding *binding, const char *method, keeper_scope scope, PyObject *key) {
  operator_object *operator = binding->operator;
  Py_ssize_t index = index_of(operator, self);
  if (index < 0) return -1;
  PyObject *keeper = Py_NewRef(operator->keeper);
  operator->keeper_is_busy = 1;
  PyObject *result = PyObject_CallMethod(keeper, method, "niO", index, (int)scope, key ? key : Py_None);
  operator->keeper_is_busy = 0;
  Py_DECREF(keeper);
  Py_XDECREF(result);
  return result ? 0 : -1;
}

void keeper_set(operator_object *operator, PyObject *keeper) {
  Py_XSETREF(operator->keeper, keeper == Py_None ? NULL : Py_NewRef(keeper));
}
