#include "rows.h"

#include "arrow.h"
#include "cells.h"
#include "errors.h"
#include "schema.h"

/* Up to this many columns, comparing pointers one by one is faster than hashing. */
#define SCAN_COLUMNS 16

static bool same_names(const martlet_column *columns, int64_t n, PyObject *names) {
  if (PyTuple_GET_SIZE(names) != n) return false;
  for (int64_t i = 0; i < n; i++) {
    const char *name = PyUnicode_AsUTF8(PyTuple_GET_ITEM(names, (Py_ssize_t)i));
    if (!name || strcmp(name, columns[i].name)) {
      PyErr_Clear();
      return false;
    }
  }
  return true;
}

int rows_open(rows *self, martlet_batch *batch, int64_t offset, int64_t length, PyObject *like_names,
              PyObject *like_index) {
  int64_t n = martlet_batch_num_columns(batch);
  self->columns = martlet_batch_columns(batch);
  self->offset = offset;
  self->length = length;
  if (like_names && same_names(self->columns, n, like_names)) {
    self->names = Py_NewRef(like_names);
    self->index = Py_NewRef(like_index);
  } else {
    self->names = schema_column_names(self->columns, n);
    self->index = self->names ? schema_name_index(self->names) : NULL;
    if (!self->index) {
      Py_CLEAR(self->names);
      martlet_batch_release(batch);
      return -1;
    }
  }
  self->batch = batch;
  return 0;
}

void rows_close(rows *self) {
  martlet_batch_release(self->batch);
  self->batch = NULL;
  Py_CLEAR(self->names);
  Py_CLEAR(self->index);
}

int64_t rows_find(engine_state *st, const rows *self, PyObject *name) {
  Py_ssize_t n = PyTuple_GET_SIZE(self->names);
  if (n <= SCAN_COLUMNS)
    for (Py_ssize_t i = 0; i < n; i++)
      if (PyTuple_GET_ITEM(self->names, i) == name) return i;
  if (!PyUnicode_Check(name)) {
    PyErr_Format(PyExc_TypeError, "a column is found by its name, a str, not by %s", Py_TYPE(name)->tp_name);
    return -1;
  }
  PyObject *position = PyDict_GetItemWithError(self->index, name);
  if (position) return PyLong_AsLongLong(position);
  if (PyErr_Occurred()) return -1;
  PyErr_Format(st->missing_column_error, "there is no column %R; the columns are %R", name, self->names);
  return -1;
}

PyObject *rows_schema(engine_state *st, const rows *self) {
  struct ArrowSchema schema;
  martlet_error error;
  int32_t status = martlet_batch_export_schema(self->batch, &schema, &error);
  if (status == MARTLET_OK) return schema_new(st, &schema);
  errors_raise(st, status, &error);
  return NULL;
}

PyObject *rows_export_schema(engine_state *st, const rows *self) {
  struct ArrowSchema schema;
  martlet_error error;
  int32_t status = martlet_batch_export_schema(self->batch, &schema, &error);
  if (status == MARTLET_OK) return arrow_schema_capsule(&schema);
  errors_raise(st, status, &error);
  return NULL;
}

PyObject *rows_export(engine_state *st, const rows *self, PyObject *args, PyObject *kwargs) {
  /* requested_schema is a wish that the protocol allows to decline. */
  static const char *const keywords[] = {"requested_schema", NULL};
  PyObject *requested = NULL;
  struct ArrowSchema schema;
  struct ArrowArray array;
  martlet_error error;
  if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|O", (char **)(void *)keywords, &requested)) return NULL;
  int32_t status = martlet_batch_export_schema(self->batch, &schema, &error);
  if (status == MARTLET_OK) {
    status = martlet_batch_export(self->batch, self->offset, self->length, &array, &error);
    if (status == MARTLET_OK) return arrow_array_capsules(&schema, &array);
    arrow_schema_release(&schema);
  }
  errors_raise(st, status, &error);
  return NULL;
}

PyObject *rows_dict(engine_state *st, const rows *self, int64_t row) {
  PyObject *dict = PyDict_New();
  for (Py_ssize_t i = 0; dict && i < PyTuple_GET_SIZE(self->names); i++) {
    PyObject *value = cell_to_python(st, &self->columns[i], self->offset + row);
    if (!value || PyDict_SetItem(dict, PyTuple_GET_ITEM(self->names, i), value) < 0) Py_CLEAR(dict);
    Py_XDECREF(value);
  }
  return dict;
}
