#include "batch.h"

#include "arrow.h"
#include "column.h"
#include "errors.h"

static PyObject *batch_like(engine_state *st, martlet_batch *batch, int64_t offset, int64_t length,
                            PyObject *like_names, PyObject *like_index) {
  batch_object *self = (batch_object *)st->batch_type->tp_alloc(st->batch_type, 0);
  if (!self) {
    martlet_batch_release(batch);
    return NULL;
  }
  if (rows_open(&self->rows, batch, offset, length, like_names, like_index) < 0) Py_CLEAR(self);
  return (PyObject *)self;
}

static PyObject *batch_of_rows(engine_state *st, martlet_batch *batch, int64_t offset, int64_t length,
                               batch_object *like) {
  return batch_like(st, batch, offset, length, like ? like->rows.names : NULL, like ? like->rows.index : NULL);
}

PyObject *batch_view(engine_state *st, const martlet_batch *batch, int64_t row, int64_t length, PyObject *like_names,
                     PyObject *like_index) {
  return batch_like(st, martlet_batch_retain(batch), row, length, like_names, like_index);
}

PyObject *batch_new(engine_state *st, martlet_batch *batch, batch_object *like) {
  return batch_of_rows(st, batch, 0, martlet_batch_num_rows(batch), like);
}

/* RecordBatch(data): anything with __arrow_c_array__. */
static PyObject *batch_create(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
  static const char *const keywords[] = {"data", NULL};
  engine_state *st = PyType_GetModuleState(type);
  PyObject *data;
  struct ArrowArray array;
  struct ArrowSchema schema;
  martlet_batch *batch;
  martlet_error error;
  if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O", (char **)(void *)keywords, &data)) return NULL;
  if (!arrow_has(data, st->arrow_c_array)) {
    PyErr_Format(PyExc_TypeError,
                 "RecordBatch() takes an object with __arrow_c_array__, such as a pyarrow.RecordBatch, got %s",
                 Py_TYPE(data)->tp_name);
    return NULL;
  }
  if (arrow_take_array(st, data, &array, &schema) < 0) return NULL;
  int32_t status = martlet_batch_import(&array, &schema, &batch, &error);
  if (status == MARTLET_OK) return batch_new(st, batch, NULL);
  errors_raise(st, status, &error);
  return NULL;
}

static void batch_dealloc(batch_object *self) {
  rows_close(&self->rows);
  free_object((PyObject *)self);
}

static Py_ssize_t batch_length(batch_object *self) { return (Py_ssize_t)self->rows.length; }

static PyObject *batch_column(batch_object *self, PyObject *name) {
  engine_state *st = state_of((PyObject *)self);
  int64_t index = rows_find(st, &self->rows, name);
  return index < 0 ? NULL : column_new(st, self->rows.batch, index, self->rows.offset, self->rows.length);
}

static PyObject *batch_slice(batch_object *self, PyObject *args, PyObject *kwargs) {
  static const char *const keywords[] = {"offset", "length", NULL};
  long long offset = 0, length = INT64_MAX, rows = self->rows.length;
  if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|LL", (char **)(void *)keywords, &offset, &length)) return NULL;
  if (offset < 0 || length < 0) {
    PyErr_Format(PyExc_ValueError, "slice(offset=%lld, length=%lld): both count rows from 0", offset, length);
    return NULL;
  }
  if (offset > rows) offset = rows;
  if (length > rows - offset) length = rows - offset;
  return batch_of_rows(state_of((PyObject *)self), martlet_batch_retain(self->rows.batch), self->rows.offset + offset,
                       length, self);
}

static PyObject *batch_subscript(batch_object *self, PyObject *item) {
  if (!PySlice_Check(item)) return batch_column(self, item);
  Py_ssize_t start, stop, step, n;
  if (PySlice_Unpack(item, &start, &stop, &step) < 0) return NULL;
  n = PySlice_AdjustIndices((Py_ssize_t)self->rows.length, &start, &stop, step);
  if (step != 1) {
    PyErr_SetString(PyExc_ValueError, "a RecordBatch is sliced in steps of 1");
    return NULL;
  }
  return batch_of_rows(state_of((PyObject *)self), martlet_batch_retain(self->rows.batch), self->rows.offset + start, n,
                       self);
}

static int batch_contains(batch_object *self, PyObject *name) { return PyDict_Contains(self->rows.index, name); }

static PyObject *batch_to_pylist(batch_object *self, PyObject *unused) {
  (void)unused;
  engine_state *st = state_of((PyObject *)self);
  PyObject *list = PyList_New((Py_ssize_t)self->rows.length);
  for (int64_t row = 0; list && row < self->rows.length; row++) {
    PyObject *dict = rows_dict(st, &self->rows, row);
    if (!dict) Py_CLEAR(list);
    else PyList_SET_ITEM(list, (Py_ssize_t)row, dict);
  }
  return list;
}

static PyObject *batch_to_pydict(batch_object *self, PyObject *unused) {
  (void)unused;
  engine_state *st = state_of((PyObject *)self);
  PyObject *dict = PyDict_New();
  for (Py_ssize_t i = 0; dict && i < PyTuple_GET_SIZE(self->rows.names); i++) {
    PyObject *values = column_values(st, &self->rows.columns[i], self->rows.offset, self->rows.length);
    if (!values || PyDict_SetItem(dict, PyTuple_GET_ITEM(self->rows.names, i), values) < 0) Py_CLEAR(dict);
    Py_XDECREF(values);
  }
  return dict;
}

static PyObject *batch_export(batch_object *self, PyObject *args, PyObject *kwargs) {
  return rows_export(state_of((PyObject *)self), &self->rows, args, kwargs);
}

static PyObject *batch_export_schema(batch_object *self, PyObject *unused) {
  (void)unused;
  return rows_export_schema(state_of((PyObject *)self), &self->rows);
}

static PyObject *batch_schema(batch_object *self, void *unused) {
  (void)unused;
  return rows_schema(state_of((PyObject *)self), &self->rows);
}

static PyObject *batch_num_rows(batch_object *self, void *unused) {
  (void)unused;
  return PyLong_FromLongLong(self->rows.length);
}

static PyObject *batch_num_columns(batch_object *self, void *unused) {
  (void)unused;
  return PyLong_FromSsize_t(PyTuple_GET_SIZE(self->rows.names));
}

static PyObject *batch_repr(batch_object *self) {
  PyObject *schema = batch_schema(self, NULL);
  PyObject *text =
    schema ? PyUnicode_FromFormat("RecordBatch(%lld rows, %R)", (long long)self->rows.length, schema) : NULL;
  Py_XDECREF(schema);
  return text;
}

static PyGetSetDef batch_getset[] = {{"schema", (getter)batch_schema, NULL, "Names and types of the columns.", NULL},
                                     {"num_rows", (getter)batch_num_rows, NULL, "Number of rows.", NULL},
                                     {"num_columns", (getter)batch_num_columns, NULL, "Number of columns.", NULL},
                                     {NULL, NULL, NULL, NULL, NULL}};

static PyMethodDef batch_methods[] = {
  {"column", (PyCFunction)batch_column, METH_O,
   "The column of this name; MissingColumnError (a KeyError) lists those there are."},
  {"slice", (PyCFunction)(void (*)(void))batch_slice, METH_VARARGS | METH_KEYWORDS,
   "slice(offset=0, length=all): some of the rows, without copying."},
  {"to_pylist", (PyCFunction)batch_to_pylist, METH_NOARGS, "The rows as dicts."},
  {"to_pydict", (PyCFunction)batch_to_pydict, METH_NOARGS, "The columns as lists, by name."},
  {"__arrow_c_array__", (PyCFunction)(void (*)(void))batch_export, METH_VARARGS | METH_KEYWORDS,
   "The batch as Arrow capsules, without copying."},
  {"__arrow_c_schema__", (PyCFunction)batch_export_schema, METH_NOARGS, "The schema as an Arrow capsule."},
  {NULL, NULL, 0, NULL}};

static PyType_Slot batch_slots[] = {{Py_tp_doc,
                                     "Rows with named columns (an Arrow record batch). "
                                     "Immutable.\n\nRecordBatch(data): anything with __arrow_c_array__."},
                                    {Py_tp_new, batch_create},
                                    {Py_tp_dealloc, batch_dealloc},
                                    {Py_tp_repr, batch_repr},
                                    {Py_tp_getset, batch_getset},
                                    {Py_tp_methods, batch_methods},
                                    {Py_mp_length, batch_length},
                                    {Py_mp_subscript, batch_subscript},
                                    {Py_sq_contains, batch_contains},
                                    {0, NULL}};

static PyType_Spec batch_spec = {.name = "martlet._engine.RecordBatch",
                                 .basicsize = sizeof(batch_object),
                                 .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
                                 .slots = batch_slots};

int batch_init(PyObject *module, engine_state *st) {
  st->batch_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &batch_spec, NULL);
  return st->batch_type ? PyModule_AddType(module, st->batch_type) : -1;
}
