#include "column.h"

#include "arrow.h"
#include "cells.h"
#include "errors.h"

typedef struct column_object {
  PyObject_HEAD martlet_batch *batch;
  int64_t index;
  int64_t offset;
  int64_t length;
} column_object;

static const martlet_column *cells_of(const column_object *self) {
  return martlet_batch_columns(self->batch) + self->index;
}

PyObject *column_new(engine_state *st, const martlet_batch *batch, int64_t index, int64_t offset, int64_t length) {
  column_object *self = (column_object *)st->column_type->tp_alloc(st->column_type, 0);
  if (!self) return NULL;
  self->batch = martlet_batch_retain(batch);
  self->index = index;
  self->offset = offset;
  self->length = length;
  return (PyObject *)self;
}

PyObject *column_values(engine_state *st, const martlet_column *column, int64_t offset, int64_t length) {
  PyObject *list = PyList_New((Py_ssize_t)length);
  for (int64_t i = 0; list && i < length; i++) {
    PyObject *value = cell_to_python(st, column, offset + i);
    if (!value) Py_CLEAR(list);
    else PyList_SET_ITEM(list, (Py_ssize_t)i, value);
  }
  return list;
}

static void column_dealloc(column_object *self) {
  martlet_batch_release(self->batch);
  free_object((PyObject *)self);
}

static Py_ssize_t column_length(column_object *self) { return (Py_ssize_t)self->length; }

static PyObject *column_item(column_object *self, Py_ssize_t row) {
  if (row < 0 || row >= self->length) {
    PyErr_Format(PyExc_IndexError, "row %zd of column '%s', which has %lld", row, cells_of(self)->name,
                 (long long)self->length);
    return NULL;
  }
  return cell_to_python(state_of((PyObject *)self), cells_of(self), self->offset + row);
}

static PyObject *column_subscript(column_object *self, PyObject *item) {
  engine_state *st = state_of((PyObject *)self);
  if (PySlice_Check(item)) {
    Py_ssize_t start, stop, step, n;
    if (PySlice_Unpack(item, &start, &stop, &step) < 0) return NULL;
    n = PySlice_AdjustIndices((Py_ssize_t)self->length, &start, &stop, step);
    if (step == 1) return column_new(st, self->batch, self->index, self->offset + start, n);
    PyErr_SetString(PyExc_ValueError, "a Column is sliced in steps of 1; use to_pylist() for other steps");
    return NULL;
  }
  Py_ssize_t row = PyNumber_AsSsize_t(item, PyExc_IndexError);
  if (row == -1 && PyErr_Occurred()) return NULL;
  return column_item(self, row < 0 ? row + (Py_ssize_t)self->length : row);
}

static PyObject *column_to_pylist(column_object *self, PyObject *unused) {
  (void)unused;
  return column_values(state_of((PyObject *)self), cells_of(self), self->offset, self->length);
}

static PyObject *column_repr(column_object *self) {
  Py_ssize_t shown = self->length > 10 ? 10 : (Py_ssize_t)self->length;
  PyObject *values = column_values(state_of((PyObject *)self), cells_of(self), self->offset, shown);
  if (!values) return NULL;
  PyObject *text =
    PyUnicode_FromFormat("Column('%s': %s, %lld rows: %R%s)", cells_of(self)->name, cells_of(self)->type_name,
                         (long long)self->length, values, shown < self->length ? " …" : "");
  Py_DECREF(values);
  return text;
}

static PyObject *column_export(column_object *self, PyObject *args, PyObject *kwargs) {
  /* requested_schema is a wish that the protocol allows to decline. */
  static const char *const keywords[] = {"requested_schema", NULL};
  PyObject *requested = NULL;
  struct ArrowArray array;
  struct ArrowSchema schema;
  martlet_error error;
  if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|O", (char **)(void *)keywords, &requested)) return NULL;
  int32_t status =
    martlet_batch_export_column(self->batch, self->index, self->offset, self->length, &array, &schema, &error);
  if (status != MARTLET_OK) {
    errors_raise(state_of((PyObject *)self), status, &error);
    return NULL;
  }
  return arrow_array_capsules(&schema, &array);
}

static PyObject *column_name(column_object *self, void *unused) {
  (void)unused;
  return PyUnicode_FromString(cells_of(self)->name);
}

static PyObject *column_type_name(column_object *self, void *unused) {
  (void)unused;
  return PyUnicode_FromString(cells_of(self)->type_name);
}

static PyGetSetDef column_getset[] = {
  {"name", (getter)column_name, NULL, "The column's name.", NULL},
  {"type", (getter)column_type_name, NULL, "Its Arrow type, such as 'int64'.", NULL},
  {NULL, NULL, NULL, NULL, NULL}};

static PyMethodDef column_methods[] = {
  {"to_pylist", (PyCFunction)column_to_pylist, METH_NOARGS, "All values as a list; null is None."},
  {"__arrow_c_array__", (PyCFunction)(void (*)(void))column_export, METH_VARARGS | METH_KEYWORDS,
   "The column as Arrow capsules, without copying."},
  {NULL, NULL, 0, NULL}};

static PyType_Slot column_slots[] = {{Py_tp_doc, "Some rows of one column, as a sequence of Python values."},
                                     {Py_tp_dealloc, column_dealloc},
                                     {Py_tp_repr, column_repr},
                                     {Py_tp_getset, column_getset},
                                     {Py_tp_methods, column_methods},
                                     {Py_sq_length, column_length},
                                     {Py_sq_item, column_item},
                                     {Py_mp_length, column_length},
                                     {Py_mp_subscript, column_subscript},
                                     {0, NULL}};

static PyType_Spec column_spec = {
  .name = "martlet._engine.Column",
  .basicsize = sizeof(column_object),
  .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE | Py_TPFLAGS_DISALLOW_INSTANTIATION | Py_TPFLAGS_SEQUENCE,
  .slots = column_slots};

int column_init(PyObject *module, engine_state *st) {
  st->column_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &column_spec, NULL);
  return st->column_type ? PyModule_AddType(module, st->column_type) : -1;
}
