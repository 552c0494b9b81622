#include "workers.h"

#include "errors.h"

/* ---- the job that has workers ------------------------------------------------------------------------- */

static int read_sockets(PyObject *sockets, int **out) {
  Py_ssize_t n = PyTuple_GET_SIZE(sockets);
  if (!(*out = PyMem_Calloc((size_t)n + 1, sizeof **out))) {
    PyErr_NoMemory();
    return -1;
  }
  for (Py_ssize_t i = 0; i < n; i++) {
    long socket = PyLong_AsLong(PyTuple_GET_ITEM(sockets, i));
    if (socket == -1 && PyErr_Occurred()) return -1;
    (*out)[i] = (int)socket;
  }
  return 0;
}

PyObject *job_use_workers(job_object *self, PyObject *args) {
  PyObject *sockets, *revive;
  int max_parallelism, *numbers = NULL;
  martlet_error error;
  if (job_check_usable(self) < 0 || !PyArg_ParseTuple(args, "O!iO", &PyTuple_Type, &sockets, &max_parallelism, &revive))
    return NULL;
  if (read_sockets(sockets, &numbers) < 0) {
    PyMem_Free(numbers);
    return NULL;
  }
  int32_t status =
    martlet_job_use_workers(self->job, numbers, PyTuple_GET_SIZE(sockets), max_parallelism, &error);
  PyMem_Free(numbers);
  if (status != MARTLET_OK) {
    errors_raise(state_of((PyObject *)self), status, &error);
    return NULL;
  }
  Py_XSETREF(self->on_cause, Py_NewRef(revive));
  Py_RETURN_NONE;
}

static PyObject *read_cause(job_object *self) {
  size_t length = 0;
  if (martlet_job_cause(self->job, NULL, 0, &length, NULL) != MARTLET_OK || length == 0) return NULL;
  PyObject *bytes = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)length);
  if (bytes && martlet_job_cause(self->job, (uint8_t *)PyBytes_AS_STRING(bytes), length, &length, NULL) != MARTLET_OK)
    Py_CLEAR(bytes);
  return bytes;
}

int job_raise_cause(job_object *self) {
  PyObject *bytes = self->on_cause ? read_cause(self) : NULL;
  if (!bytes) {
    PyErr_Clear();
    return 0;
  }
  PyObject *exception = PyObject_CallOneArg(self->on_cause, bytes);
  Py_DECREF(bytes);
  if (!exception) return 1;
  if (!PyExceptionInstance_Check(exception)) {
    PyErr_Format(PyExc_TypeError, "expected an exception, got %R", exception);
    Py_DECREF(exception);
  } else errors_restore(exception);
  return 1;
}

/* ---- a worker ----------------------------------------------------------------------------------------- */

/* Between two callbacks of the job, on its thread, without the GIL. */
static void on_cause(void *context, const uint8_t **bytes, size_t *length) {
  job_object *self = context;
  job_enter(self);
  PyObject *exception = self->pending;
  self->pending = NULL;
  PyObject *text = exception ? PyObject_CallOneArg(self->on_cause, exception) : NULL;
  if (text && PyBytes_Check(text)) {
    *bytes = (const uint8_t *)PyBytes_AS_STRING(text);
    *length = (size_t)PyBytes_GET_SIZE(text);
  }
  if (PyErr_Occurred()) PyErr_WriteUnraisable(self->on_cause);
  Py_XSETREF(self->cause, text);
  Py_XDECREF(exception);
  job_leave(self);
}

PyObject *job_serve(job_object *self, PyObject *args) {
  PyObject *describe;
  int socket;
  martlet_error error;
  martlet_serve_options options = {.struct_size = sizeof options, .context = self, .cause = on_cause};
  if (job_check_usable(self) < 0 || !PyArg_ParseTuple(args, "iiiiO", &socket, &options.instance, &options.parallelism,
                                                      &options.max_parallelism, &describe))
    return NULL;
  Py_XSETREF(self->on_cause, Py_NewRef(describe));
  job_release_gil(self);
  int32_t status = martlet_job_serve(self->job, socket, &options, &error);
  job_take_gil(self);
  if (status != MARTLET_OK) job_raise(self, status, &error);
  Py_DECREF(self);
  return status == MARTLET_OK ? Py_NewRef(Py_None) : NULL;
}
