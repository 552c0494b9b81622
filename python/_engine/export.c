#include "export.h"

#include <errno.h>
#include <stdlib.h>

#include "arrow.h"
#include "batch.h"
#include "errors.h"
#include "schema.h"

typedef struct exported {
  engine_state *st;
  PyObject *schema;
  PyObject *batches; /* iterator */
  char *error;
} exported;

/* The consumer may call on any thread, with or without the GIL: pyarrow gives it up while it reads. */

static void keep_error(exported *self) {
  martlet_error error;
  error.message[0] = '\0';
  errors_describe(&error);
  PyErr_Clear();
  free(self->error);
  self->error = malloc(strlen(error.message) + 1);
  if (self->error) strcpy(self->error, error.message);
}

static int get_schema(struct ArrowArrayStream *stream, struct ArrowSchema *out) {
  exported *self = stream->private_data;
  PyGILState_STATE gil = PyGILState_Ensure();
  int result = arrow_schema_copy(&((schema_object *)self->schema)->schema, out);
  if (result < 0) keep_error(self);
  PyGILState_Release(gil);
  return result < 0 ? ENOMEM : 0;
}

static int get_next(struct ArrowArrayStream *stream, struct ArrowArray *out) {
  exported *self = stream->private_data;
  martlet_error error;
  int result = 0;
  out->release = NULL;
  PyGILState_STATE gil = PyGILState_Ensure();
  PyObject *item = PyIter_Next(self->batches);
  if (item) {
    rows *rows = &((batch_object *)item)->rows;
    int32_t status = martlet_batch_export(rows->batch, rows->offset, rows->length, out, &error);
    if (status != MARTLET_OK) {
      errors_raise(self->st, status, &error);
      out->release = NULL;
    }
    Py_DECREF(item);
  }
  if (PyErr_Occurred()) {
    keep_error(self);
    result = EIO;
  }
  PyGILState_Release(gil);
  return result;
}

static const char *get_last_error(struct ArrowArrayStream *stream) { return ((exported *)stream->private_data)->error; }

static void release(struct ArrowArrayStream *stream) {
  exported *self = stream->private_data;
  PyGILState_STATE gil = PyGILState_Ensure();
  Py_DECREF(self->schema);
  Py_DECREF(self->batches);
  PyGILState_Release(gil);
  free(self->error);
  free(self);
  stream->release = NULL;
}

PyObject *export_stream(PyObject *module, PyObject *args) {
  engine_state *st = PyModule_GetState(module);
  PyObject *schema, *batches;
  if (!PyArg_ParseTuple(args, "O!O", st->schema_type, &schema, &batches)) return NULL;
  if (PyInterpreterState_Get() != PyInterpreterState_Main()) {
    /* A foreign thread can only find its way to the main interpreter. */
    PyErr_SetString(errors_class(st, MARTLET_INVALID_ARGUMENT),
                    "streams are exported as Arrow from the main interpreter only; iterate the batches instead");
    return NULL;
  }
  exported *self = calloc(1, sizeof *self);
  if (!self) return PyErr_NoMemory();
  self->st = st;
  self->batches = PyObject_GetIter(batches);
  if (!self->batches) {
    free(self);
    return NULL;
  }
  self->schema = Py_NewRef(schema);
  struct ArrowArrayStream stream = {get_schema, get_next, get_last_error, release, self};
  return arrow_stream_capsule(&stream);
}
