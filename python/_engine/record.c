#include "record.h"

#include "cells.h"
#include "column.h"

record_object *record_new(engine_state *st, const martlet_batch *batch, int64_t row, PyObject *like_names,
                          PyObject *like_index) {
  record_object *self = (record_object *)st->record_type->tp_alloc(st->record_type, 0);
  if (self && rows_open(&self->rows, martlet_batch_retain(batch), row, 1, like_names, like_index) < 0) Py_CLEAR(self);
  return self;
}

static void record_dealloc(record_object *self) {
  rows_close(&self->rows);
  free_object((PyObject *)self);
}

static Py_ssize_t record_length(record_object *self) {
  (void)self;
  return 1;
}

static PyObject *record_subscript(record_object *self, PyObject *name) {
  engine_state *st = state_of((PyObject *)self);
  int64_t index = rows_find(st, &self->rows, name);
  return index < 0 ? NULL : cell_to_python(st, &self->rows.columns[index], self->rows.offset);
}

static int record_contains(record_object *self, PyObject *name) { return PyDict_Contains(self->rows.index, name); }

static PyObject *record_column(record_object *self, PyObject *name) {
  engine_state *st = state_of((PyObject *)self);
  int64_t index = rows_find(st, &self->rows, name);
  return index < 0 ? NULL : column_new(st, self->rows.batch, index, self->rows.offset, 1);
}

static PyObject *record_to_dict(record_object *self, PyObject *unused) {
  (void)unused;
  return rows_dict(state_of((PyObject *)self), &self->rows, 0);
}

static PyObject *record_to_pylist(record_object *self, PyObject *unused) {
  PyObject *dict = record_to_dict(self, unused);
  return dict ? Py_BuildValue("[N]", dict) : NULL;
}

static PyObject *record_keys(record_object *self, PyObject *unused) {
  (void)unused;
  return PySequence_List(self->rows.names);
}

static PyObject *record_iter(record_object *self) { return PyObject_GetIter(self->rows.names); }

static PyObject *record_export(record_object *self, PyObject *args, PyObject *kwargs) {
  return rows_export(state_of((PyObject *)self), &self->rows, args, kwargs);
}

static PyObject *record_export_schema(record_object *self, PyObject *unused) {
  (void)unused;
  return rows_export_schema(state_of((PyObject *)self), &self->rows);
}

static PyObject *record_schema(record_object *self, void *unused) {
  (void)unused;
  return rows_schema(state_of((PyObject *)self), &self->rows);
}

static PyObject *record_num_rows(record_object *self, void *unused) {
  (void)self;
  (void)unused;
  return PyLong_FromLong(1);
}

static PyObject *record_num_columns(record_object *self, void *unused) {
  (void)unused;
  return PyLong_FromSsize_t(PyTuple_GET_SIZE(self->rows.names));
}

static PyObject *record_repr(record_object *self) {
  PyObject *dict = record_to_dict(self, NULL);
  PyObject *text = dict ? PyUnicode_FromFormat("Record(%R)", dict) : NULL;
  Py_XDECREF(dict);
  return text;
}

static PyGetSetDef record_getset[] = {{"schema", (getter)record_schema, NULL, "Names and types of the columns.", NULL},
                                      {"num_rows", (getter)record_num_rows, NULL, "Always 1.", NULL},
                                      {"num_columns", (getter)record_num_columns, NULL, "Number of columns.", NULL},
                                      {NULL, NULL, NULL, NULL, NULL}};

static PyMethodDef record_methods[] = {
  {"column", (PyCFunction)record_column, METH_O, "The column of this name, of length 1."},
  {"keys", (PyCFunction)record_keys, METH_NOARGS, "The column names."},
  {"to_dict", (PyCFunction)record_to_dict, METH_NOARGS, "The record as a dict; null is None."},
  {"to_pylist", (PyCFunction)record_to_pylist, METH_NOARGS, "A list of the one record as a dict."},
  {"__arrow_c_array__", (PyCFunction)(void (*)(void))record_export, METH_VARARGS | METH_KEYWORDS,
   "A batch of one row as Arrow capsules, without copying."},
  {"__arrow_c_schema__", (PyCFunction)record_export_schema, METH_NOARGS, "The schema as an Arrow capsule."},
  {NULL, NULL, 0, NULL}};

static PyType_Slot record_slots[] = {
  {Py_tp_doc, "One record: a view of one row of a batch. view[name] is its value; it stays valid when it is kept."},
  {Py_tp_dealloc, record_dealloc},
  {Py_tp_repr, record_repr},
  {Py_tp_iter, record_iter},
  {Py_tp_getset, record_getset},
  {Py_tp_methods, record_methods},
  {Py_mp_length, record_length},
  {Py_mp_subscript, record_subscript},
  {Py_sq_contains, record_contains},
  {0, NULL}};

static PyType_Spec record_spec = {
  .name = "martlet._engine.Record",
  .basicsize = sizeof(record_object),
  .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE | Py_TPFLAGS_DISALLOW_INSTANTIATION,
  .slots = record_slots};

int record_init(PyObject *module, engine_state *st) {
  st->record_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &record_spec, NULL);
  return st->record_type ? PyModule_AddType(module, st->record_type) : -1;
}
