#include "binding.h"

#include "errors.h"

static PyObject *thread_key(PyThreadState *thread) { return PyLong_FromVoidPtr(thread); }

static void drop_binding_capsule(PyObject *capsule) { PyMem_Free(PyCapsule_GetPointer(capsule, NULL)); }

static state_binding *other_binding(state_object *self, PyThreadState *thread) {
  if (!self->others) return NULL;
  PyObject *key = thread_key(thread);
  PyObject *capsule = key ? PyDict_GetItemWithError(self->others, key) : NULL;
  Py_XDECREF(key);
  return capsule ? PyCapsule_GetPointer(capsule, NULL) : NULL;
}

static int add_other(state_object *self, PyThreadState *thread, state_binding binding) {
  if (!self->others && !(self->others = PyDict_New())) return -1;
  state_binding *copy = PyMem_Malloc(sizeof *copy);
  if (!copy) {
    PyErr_NoMemory();
    return -1;
  }
  *copy = binding;
  PyObject *capsule = PyCapsule_New(copy, NULL, drop_binding_capsule);
  if (!capsule) {
    PyMem_Free(copy);
    return -1;
  }
  PyObject *key = thread_key(thread);
  int result = key ? PyDict_SetItem(self->others, key, capsule) : -1;
  Py_XDECREF(key);
  Py_DECREF(capsule);
  return result;
}

int state_bind(state_object *self, state_binding binding, state_binding *previous) {
  PyThreadState *thread = PyThreadState_Get();
  *previous = (state_binding){NULL, NULL};
  if (self->is_private || !self->thread || self->thread == thread) {
    *previous = self->binding;
    self->thread = thread;
    self->binding = binding;
    return 0;
  }
  state_binding *other = other_binding(self, thread);
  if (!other) return PyErr_Occurred() ? -1 : add_other(self, thread, binding);
  *previous = *other;
  *other = binding;
  return 0;
}

void state_unbind(state_object *self, state_binding previous) {
  PyThreadState *thread = PyThreadState_Get();
  if (self->is_private || self->thread == thread) {
    self->binding = previous;
    if (!previous.handle) self->thread = NULL;
    return;
  }
  state_binding *other = other_binding(self, thread);
  if (!other) return;
  *other = previous;
  if (!previous.handle) {
    PyObject *key = thread_key(thread);
    if (!key || PyDict_DelItem(self->others, key) < 0) PyErr_Clear();
    Py_XDECREF(key);
  }
}

static state_binding *no_binding(state_object *self) {
  PyErr_Format(
    errors_class(state_of((PyObject *)self), MARTLET_STATE_ACCESS),
    "state '%U' was used outside of a callback of an operator that declares it; it is read and written inside on_event "
    "and on_timer, as an attribute of the function or passed to apply_process_function",
    self->name);
  return NULL;
}

/* The binding for the running thread, or NULL with StateAccessError. */
state_binding *state_bound(state_object *self) {
  if (self->binding.handle && (self->is_private || self->thread == PyThreadState_Get())) return &self->binding;
  state_binding *other = self->is_private ? NULL : other_binding(self, PyThreadState_Get());
  return other && other->handle ? other : no_binding(self);
}
