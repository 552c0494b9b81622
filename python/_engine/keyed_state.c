#include "keyed_state.h"

#include "errors.h"
#include "operator.h"

typedef struct visit {
  operator_object *operator;
  PyObject *function;
  PyObject *state; /* the handle that the function is given */
} visit;

static int fail(context_object *self) {
  operator_locate_error(self->operator);
  return -1;
}

/* The index of a keyed state of the operator, by its descriptor or name, or -1. */
static Py_ssize_t find_state(context_object *self, PyObject *descriptor) {
  engine_state *st = state_of((PyObject *)self);
  operator_object *operator = self->operator;
  PyObject *name = PyObject_TypeCheck(descriptor, st->state_type) ? ((state_object *)descriptor)->name : descriptor;
  if (!PyUnicode_Check(name)) {
    PyErr_Format(PyExc_TypeError, "ctx.apply_to_keyed_state() takes a state, or its name, first, got %s",
                 Py_TYPE(descriptor)->tp_name);
    return fail(self);
  }
  for (Py_ssize_t i = 0; i < operator->n_states; i++) {
    int equal = PyObject_RichCompareBool(operator->states[i]->name, name, Py_EQ);
    if (equal < 0) return -1;
    if (!equal) continue;
    if (operator->states[i]->kind != MARTLET_STATE_BROADCAST) return i;
    PyErr_Format(errors_class(st, MARTLET_STATE_ACCESS),
                 "ctx.apply_to_keyed_state() visits the keys of a keyed state, and %R is a broadcast state, which has none",
                 name);
    return fail(self);
  }
  PyErr_Format(errors_class(st, MARTLET_STATE_ACCESS), "ctx.apply_to_keyed_state(): the operator has no state %R", name);
  return fail(self);
}

static int32_t visit_key(void *context, martlet_context *call, martlet_error *error) {
  visit *self = context;
  (void)error;
  if (operator_read_key(self->operator, call) < 0) return MARTLET_CALLBACK_FAILED;
  PyObject *arguments[3] = {NULL, self->operator->key, self->state};
  PyObject *result = PyObject_Vectorcall(self->function, arguments + 1, 2 | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL);
  Py_XDECREF(result);
  if (result) return MARTLET_OK;
  operator_locate_error(self->operator);
  PyObject *exception = errors_take();
  PyObject *key = errors_preview(self->operator->key);
  errors_add_note(exception, key ? PyUnicode_FromFormat("in apply_to_keyed_state, key %U", key) : NULL);
  Py_XDECREF(key);
  errors_restore(exception);
  return MARTLET_CALLBACK_FAILED;
}

PyObject *context_apply_to_keyed_state(context_object *self, PyObject *const *args, Py_ssize_t n_args) {
  if (context_check(self, "apply_to_keyed_state()") < 0) return NULL;
  if (n_args != 2 || !PyCallable_Check(args[1])) {
    PyErr_SetString(PyExc_TypeError, "ctx.apply_to_keyed_state() takes a keyed state and a function f(key, state)");
    return NULL;
  }
  operator_object *operator = self->operator;
  if (operator->keeper) {
    PyErr_SetString(errors_class(state_of((PyObject *)self), MARTLET_STATE_ACCESS),
                    "ctx.apply_to_keyed_state() is not possible on Apache Flink: Python functions there cannot visit the keys "
                    "of a state; put what all keys must see into the broadcast state");
    return fail(self), NULL;
  }
  Py_ssize_t index = find_state(self, args[0]);
  if (index < 0) return NULL;
  visit into = {operator, args[1], (PyObject *)operator->states[index]};
  martlet_error error;
  int32_t status = martlet_apply_to_keyed_state(self->call, operator->indices[index], visit_key, &into, &error);
  /* Back in the broadcast record, which has no key. */
  if (self->call->slot == MARTLET_NO_SLOT) Py_XSETREF(operator->key, Py_NewRef(Py_None));
  if (status == MARTLET_OK) Py_RETURN_NONE;
  if (!PyErr_Occurred()) {
    errors_raise(operator->st, status, &error);
    operator_locate_error(operator);
  }
  return NULL;
}
