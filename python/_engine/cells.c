#include "cells.h"

#include "decimals.h"
#include "temporal.h"

/* The bytes of a cell of any utf8 or binary layout. */
static const char *cell_bytes(const martlet_column *c, int64_t at, Py_ssize_t *length) {
  switch (c->type) {
    case MARTLET_TYPE_UTF8:
    case MARTLET_TYPE_BINARY: {
      const int32_t *offsets = c->values;
      *length = offsets[at + 1] - offsets[at];
      return *length ? (const char *)c->data + offsets[at] : "";
    }
    case MARTLET_TYPE_LARGE_UTF8:
    case MARTLET_TYPE_LARGE_BINARY: {
      const int64_t *offsets = c->values;
      *length = (Py_ssize_t)(offsets[at + 1] - offsets[at]);
      return *length ? (const char *)c->data + offsets[at] : "";
    }
    case MARTLET_TYPE_UTF8_VIEW:
    case MARTLET_TYPE_BINARY_VIEW: {
      const char *view = (const char *)c->values + at * 16;
      int32_t size, buffer, offset;
      memcpy(&size, view, 4);
      *length = size;
      if (size <= 12) return view + 4;
      memcpy(&buffer, view + 8, 4);
      memcpy(&offset, view + 12, 4);
      return (const char *)c->variadic[buffer] + offset;
    }
    default: *length = c->width; return (const char *)c->values + at * c->width;
  }
}

static PyObject *list_items(engine_state *st, const martlet_column *items, int64_t first, int64_t last, bool pairs) {
  PyObject *list = PyList_New((Py_ssize_t)(last - first));
  if (!list) return NULL;
  for (int64_t i = first; i < last; i++) {
    PyObject *item = NULL;
    if (!pairs) item = cell_to_python(st, items, i);
    else {
      PyObject *key = cell_to_python(st, &items->children[0], i);
      PyObject *value = key ? cell_to_python(st, &items->children[1], i) : NULL;
      if (value) item = PyTuple_Pack(2, key, value);
      Py_XDECREF(key);
      Py_XDECREF(value);
    }
    if (!item) {
      Py_DECREF(list);
      return NULL;
    }
    PyList_SET_ITEM(list, (Py_ssize_t)(i - first), item);
  }
  return list;
}

/* The engine has the offset of a struct or fixed-size list in that of its children: row r there is row r here. */
static PyObject *nested_to_python(engine_state *st, const martlet_column *c, int64_t row) {
  const int32_t *offsets = c->values;
  const int64_t *large = c->values;
  int64_t at = c->offset + row;
  switch (c->type) {
    case MARTLET_TYPE_MAP: return list_items(st, c->children, offsets[at], offsets[at + 1], true);
    case MARTLET_TYPE_LIST: return list_items(st, c->children, offsets[at], offsets[at + 1], false);
    case MARTLET_TYPE_LARGE_LIST: return list_items(st, c->children, large[at], large[at + 1], false);
    case MARTLET_TYPE_FIXED_LIST: return list_items(st, c->children, row * c->width, (row + 1) * c->width, false);
    default: break;
  }
  PyObject *dict = PyDict_New();
  for (int64_t i = 0; dict && i < c->n_children; i++) {
    PyObject *value = cell_to_python(st, &c->children[i], row);
    if (!value || PyDict_SetItemString(dict, c->children[i].name, value) < 0) Py_CLEAR(dict);
    Py_XDECREF(value);
  }
  return dict;
}

static PyObject *interval_to_python(engine_state *st, const martlet_column *c, int64_t at) {
  if (c->type == MARTLET_TYPE_INTERVAL_MONTHS) return PyLong_FromLong(((const int32_t *)c->values)[at]);
  if (c->type == MARTLET_TYPE_INTERVAL_DAY_TIME) {
    const int32_t *pair = (const int32_t *)c->values + at * 2;
    martlet_column milliseconds = *c;
    milliseconds.type = MARTLET_TYPE_DURATION;
    milliseconds.unit = MARTLET_UNIT_MILLI;
    return temporal_to_python(st, &milliseconds, pair[0] * INT64_C(86400000) + pair[1]);
  }
  const char *raw = (const char *)c->values + at * 16;
  int32_t months, days;
  int64_t nanos;
  memcpy(&months, raw, 4);
  memcpy(&days, raw + 4, 4);
  memcpy(&nanos, raw + 8, 8);
  return Py_BuildValue("iiL", (int)months, (int)days, (long long)nanos);
}

static int64_t dictionary_index(const martlet_column *c, int64_t at) {
  switch (c->type) {
    case MARTLET_TYPE_INT8: return ((const int8_t *)c->values)[at];
    case MARTLET_TYPE_UINT8: return ((const uint8_t *)c->values)[at];
    case MARTLET_TYPE_INT16: return ((const int16_t *)c->values)[at];
    case MARTLET_TYPE_UINT16: return ((const uint16_t *)c->values)[at];
    case MARTLET_TYPE_INT32: return ((const int32_t *)c->values)[at];
    case MARTLET_TYPE_UINT32: return ((const uint32_t *)c->values)[at];
    default: return ((const int64_t *)c->values)[at];
  }
}

PyObject *cell_to_python(engine_state *st, const martlet_column *c, int64_t row) {
  int64_t at = c->offset + row;
  Py_ssize_t length;
  const char *bytes;
  if (cell_is_null(c, row)) return Py_NewRef(Py_None);
  if (c->dictionary) return cell_to_python(st, c->dictionary, dictionary_index(c, at));
  switch (c->type) {
    case MARTLET_TYPE_NULL: return Py_NewRef(Py_None);
    case MARTLET_TYPE_BOOL: return PyBool_FromLong(((const uint8_t *)c->values)[at >> 3] >> (at & 7) & 1);
    case MARTLET_TYPE_INT8: return PyLong_FromLong(((const int8_t *)c->values)[at]);
    case MARTLET_TYPE_INT16: return PyLong_FromLong(((const int16_t *)c->values)[at]);
    case MARTLET_TYPE_INT32: return PyLong_FromLong(((const int32_t *)c->values)[at]);
    case MARTLET_TYPE_INT64: return PyLong_FromLongLong(((const int64_t *)c->values)[at]);
    case MARTLET_TYPE_UINT8: return PyLong_FromLong(((const uint8_t *)c->values)[at]);
    case MARTLET_TYPE_UINT16: return PyLong_FromLong(((const uint16_t *)c->values)[at]);
    case MARTLET_TYPE_UINT32: return PyLong_FromUnsignedLong(((const uint32_t *)c->values)[at]);
    case MARTLET_TYPE_UINT64: return PyLong_FromUnsignedLongLong(((const uint64_t *)c->values)[at]);
    case MARTLET_TYPE_FLOAT16: {
      double value = PyFloat_Unpack2((const char *)c->values + at * 2, PY_LITTLE_ENDIAN);
      return value == -1.0 && PyErr_Occurred() ? NULL : PyFloat_FromDouble(value);
    }
    case MARTLET_TYPE_FLOAT32: return PyFloat_FromDouble(((const float *)c->values)[at]);
    case MARTLET_TYPE_FLOAT64: return PyFloat_FromDouble(((const double *)c->values)[at]);
    case MARTLET_TYPE_UTF8:
    case MARTLET_TYPE_LARGE_UTF8:
    case MARTLET_TYPE_UTF8_VIEW: bytes = cell_bytes(c, at, &length); return PyUnicode_DecodeUTF8(bytes, length, NULL);
    case MARTLET_TYPE_BINARY:
    case MARTLET_TYPE_LARGE_BINARY:
    case MARTLET_TYPE_BINARY_VIEW:
    case MARTLET_TYPE_FIXED_BINARY: bytes = cell_bytes(c, at, &length); return PyBytes_FromStringAndSize(bytes, length);
    case MARTLET_TYPE_DATE32:
    case MARTLET_TYPE_TIME32: return temporal_to_python(st, c, ((const int32_t *)c->values)[at]);
    case MARTLET_TYPE_DATE64:
    case MARTLET_TYPE_TIME64:
    case MARTLET_TYPE_TIMESTAMP:
    case MARTLET_TYPE_DURATION: return temporal_to_python(st, c, ((const int64_t *)c->values)[at]);
    case MARTLET_TYPE_DECIMAL128: return decimal_to_python(st, (const uint8_t *)c->values + at * 16, 16, c->scale);
    case MARTLET_TYPE_DECIMAL256: return decimal_to_python(st, (const uint8_t *)c->values + at * 32, 32, c->scale);
    case MARTLET_TYPE_INTERVAL_MONTHS:
    case MARTLET_TYPE_INTERVAL_DAY_TIME:
    case MARTLET_TYPE_INTERVAL_MONTH_DAY_NANO: return interval_to_python(st, c, at);
    default: {
      if (Py_EnterRecursiveCall(" while reading a nested Arrow value")) return NULL;
      PyObject *value = nested_to_python(st, c, row);
      Py_LeaveRecursiveCall();
      return value;
    }
  }
}
