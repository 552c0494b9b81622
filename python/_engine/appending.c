#include "appending.h"

#include "errors.h"
#include "scalars.h"

static int append_nested(engine_state *st, martlet_appender *appender, const martlet_column *field,
                         const scalar_target *target, PyObject *value);

static int checked(engine_state *st, int32_t status, const martlet_error *error) {
  return status == MARTLET_OK ? 0 : errors_raise(st, status, error);
}

static int append_scalar(engine_state *st, martlet_appender *appender, const martlet_column *field,
                         const scalar_target *target, PyObject *value) {
  martlet_error error;
  scalar scalar;
  int32_t status = MARTLET_OK;
  if (scalar_from_python(st, field, target, value, &scalar) < 0) return -1;
  switch (scalar.kind) {
    case SCALAR_BOOL: status = martlet_append_bool(appender, (int32_t)scalar.integer, &error); break;
    case SCALAR_INT64: status = martlet_append_int64(appender, scalar.integer, &error); break;
    case SCALAR_UINT64: status = martlet_append_uint64(appender, scalar.unsigned_integer, &error); break;
    case SCALAR_DOUBLE: status = martlet_append_double(appender, scalar.real, &error); break;
    case SCALAR_BYTES: status = martlet_append_bytes(appender, scalar.bytes, scalar.length, &error); break;
  }
  scalar_release(&scalar);
  return checked(st, status, &error);
}

static int append_any(engine_state *st, martlet_appender *appender, const martlet_column *field,
                      const scalar_target *target, PyObject *value) {
  if (value == Py_None) {
    martlet_error error;
    return checked(st, martlet_append_null(appender, &error), &error);
  }
  /* The appender of a dictionary-encoded column takes the value itself. */
  if (field->dictionary) field = field->dictionary;
  if (field->type >= MARTLET_TYPE_LIST) {
    if (Py_EnterRecursiveCall(" while appending a nested value")) return -1;
    int result = append_nested(st, appender, field, target, value);
    Py_LeaveRecursiveCall();
    return result;
  }
  return append_scalar(st, appender, field, target, value);
}

static int append_list(engine_state *st, martlet_appender *appender, const martlet_column *field,
                       const scalar_target *target, PyObject *value) {
  martlet_appender *items = martlet_appender_child(appender, 0);
  const martlet_column *item = martlet_appender_field(items);
  if (PyUnicode_Check(value) || PyBytes_Check(value) || PyDict_Check(value))
    return scalar_mismatch(field, target, value, "use a list");
  PyObject *list = PySequence_Check(value) || PyAnySet_Check(value) ? PySequence_Fast(value, "not a sequence") : NULL;
  if (!list) {
    PyErr_Clear();
    return scalar_mismatch(field, target, value, "use a list");
  }
  Py_ssize_t n = PySequence_Fast_GET_SIZE(list);
  int result = 0;
  if (field->type == MARTLET_TYPE_FIXED_LIST && n != field->width)
    result = scalar_out_of_range(st, field, target, value, "has another length than");
  for (Py_ssize_t i = 0; result == 0 && i < PySequence_Fast_GET_SIZE(list); i++)
    result = append_any(st, items, item, target, PySequence_Fast_GET_ITEM(list, i));
  Py_DECREF(list);
  return result;
}

static int append_pair(engine_state *st, martlet_appender *entries, const scalar_target *target, PyObject *key,
                       PyObject *value) {
  martlet_error error;
  for (int i = 0; i < 2; i++) {
    martlet_appender *child = martlet_appender_child(entries, i);
    if (append_any(st, child, martlet_appender_field(child), target, i ? value : key) < 0) return -1;
  }
  return checked(st, martlet_append_end_nested(entries, &error), &error);
}

static int append_map(engine_state *st, martlet_appender *appender, const martlet_column *field,
                      const scalar_target *target, PyObject *value) {
  martlet_appender *entries = martlet_appender_child(appender, 0);
  PyObject *pairs = PyDict_Check(value) ? PyDict_Items(value) : PySequence_Check(value) ? PySequence_List(value) : NULL;
  if (!pairs) {
    PyErr_Clear();
    return scalar_mismatch(field, target, value, "use a dict or a list of (key, value) pairs");
  }
  int result = 0;
  for (Py_ssize_t i = 0; result == 0 && i < PyList_GET_SIZE(pairs); i++) {
    PyObject *pair = PyList_GET_ITEM(pairs, i);
    if (PyTuple_Check(pair) && PyTuple_GET_SIZE(pair) == 2)
      result = append_pair(st, entries, target, PyTuple_GET_ITEM(pair, 0), PyTuple_GET_ITEM(pair, 1));
    else result = scalar_mismatch(field, target, value, "use a dict or a list of (key, value) pairs");
  }
  Py_DECREF(pairs);
  return result;
}

static int append_struct(engine_state *st, martlet_appender *appender, const martlet_column *field,
                         const scalar_target *target, PyObject *value) {
  if (!PyDict_Check(value)) return scalar_mismatch(field, target, value, "use a dict");
  Py_ssize_t found = 0;
  for (int64_t i = 0; i < field->n_children; i++) {
    martlet_appender *child = martlet_appender_child(appender, i);
    const martlet_column *child_field = martlet_appender_field(child);
    PyObject *name = PyUnicode_FromString(child_field->name);
    PyObject *item = name ? PyDict_GetItemWithError(value, name) : NULL;
    Py_XDECREF(name);
    if (!item && PyErr_Occurred()) return -1;
    if (item) found++;
    Py_XINCREF(item);
    int result = append_any(st, child, child_field, target, item ? item : Py_None);
    Py_XDECREF(item);
    if (result < 0) return -1;
  }
  if (found < PyDict_GET_SIZE(value))
    return scalar_mismatch(field, target, value, "it has fields that the struct has not");
  return 0;
}

static int append_nested(engine_state *st, martlet_appender *appender, const martlet_column *field,
                         const scalar_target *target, PyObject *value) {
  martlet_error error;
  int result;
  switch (field->type) {
    case MARTLET_TYPE_STRUCT: result = append_struct(st, appender, field, target, value); break;
    case MARTLET_TYPE_MAP: result = append_map(st, appender, field, target, value); break;
    default: result = append_list(st, appender, field, target, value); break;
  }
  return result < 0 ? -1 : checked(st, martlet_append_end_nested(appender, &error), &error);
}

int append_value(engine_state *st, martlet_appender *appender, const martlet_column *field, PyObject *value) {
  martlet_error error;
  /* The three types of nearly every cell, before anything is looked up. */
  if (field->type == MARTLET_TYPE_INT64 && PyLong_CheckExact(value)) {
    int overflow;
    long long integer = PyLong_AsLongLongAndOverflow(value, &overflow);
    if (!overflow && !field->dictionary) return checked(st, martlet_append_int64(appender, integer, &error), &error);
  } else if (field->type == MARTLET_TYPE_FLOAT64 && PyFloat_CheckExact(value)) {
    return checked(st, martlet_append_double(appender, PyFloat_AS_DOUBLE(value), &error), &error);
  } else if (field->type == MARTLET_TYPE_UTF8 && PyUnicode_CheckExact(value) && PyUnicode_IS_COMPACT_ASCII(value)) {
    return checked(
      st, martlet_append_bytes(appender, PyUnicode_DATA(value), (size_t)PyUnicode_GET_LENGTH(value), &error), &error);
  }
  scalar_target target = {"column", field->name, errors_class(st, MARTLET_SCHEMA_MISMATCH)};
  return append_any(st, appender, field, &target, value);
}
