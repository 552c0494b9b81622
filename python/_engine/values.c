#include "values.h"

#include <stdlib.h>

#include "errors.h"

enum { MAJOR_UNSIGNED, MAJOR_NEGATIVE, MAJOR_BYTES, MAJOR_TEXT, MAJOR_ARRAY, MAJOR_MAP, MAJOR_TAG, MAJOR_SIMPLE };
enum { TAG_BIG_POSITIVE = 2, TAG_BIG_NEGATIVE = 3 };

typedef struct encoder {
  engine_state *st;
  PyObject *state;
  values_rules rules;
  values_buffer *buffer;
  int depth;
} encoder;

void values_buffer_free(values_buffer *buffer) {
  if (buffer->data != buffer->local) free(buffer->data);
}

int values_append(values_buffer *buffer, const void *bytes, size_t length) {
  if (length > buffer->capacity - buffer->length) {
    size_t capacity = buffer->capacity * 2 + length;
    uint8_t *data = buffer->data == buffer->local ? malloc(capacity) : realloc(buffer->data, capacity);
    if (!data) {
      PyErr_NoMemory();
      return -1;
    }
    if (buffer->data == buffer->local) memcpy(data, buffer->local, buffer->length);
    buffer->data = data;
    buffer->capacity = capacity;
  }
  memcpy(buffer->data + buffer->length, bytes, length);
  buffer->length += length;
  return 0;
}

static int put(values_buffer *buffer, const void *bytes, size_t length) {
  return values_append(buffer, bytes, length);
}

/* A head in its shortest form: the major type and its argument, big-endian. */
static int put_head(values_buffer *buffer, int major, uint64_t argument) {
  uint8_t head[9];
  int extra = argument < 24            ? 0
              : argument <= UINT8_MAX  ? 1
              : argument <= UINT16_MAX ? 2
              : argument <= UINT32_MAX ? 4
                                       : 8;
  int code = extra == 0 ? (int)argument : extra == 1 ? 24 : extra == 2 ? 25 : extra == 4 ? 26 : 27;
  head[0] = (uint8_t)(major << 5 | code);
  for (int i = 0; i < extra; i++) head[1 + i] = (uint8_t)(argument >> (8 * (extra - 1 - i)));
  return put(buffer, head, (size_t)(1 + extra));
}

static int refuse(encoder *e, PyObject *value, const char *hint) {
  PyErr_Format(e->st->state_type_error, "state '%U' cannot store a value of type %s%s", e->state,
               Py_TYPE(value)->tp_name, hint);
  return -1;
}

static int put_text(encoder *e, PyObject *value) {
  Py_ssize_t length;
  const char *text = PyUnicode_AsUTF8AndSize(value, &length);
  if (!text) {
    if (!PyErr_ExceptionMatches(PyExc_UnicodeEncodeError)) return -1;
    PyErr_Clear();
    PyErr_Format(
      errors_class(e->st, MARTLET_VALUE_RANGE),
      "state '%U' cannot store the str %A: it contains a lone surrogate, which is not valid text; store bytes instead",
      e->state, value);
    return -1;
  }
  return put_head(e->buffer, MAJOR_TEXT, (uint64_t)length) < 0 ? -1 : put(e->buffer, text, (size_t)length);
}

static int put_big(encoder *e, PyObject *value) {
  PyObject *zero = PyLong_FromLong(0), *magnitude = NULL, *bits = NULL, *bytes = NULL;
  int result = -1, negative = zero ? PyObject_RichCompareBool(value, zero, Py_LT) : -1;
  if (negative < 0) goto done;
  /* A negative bignum stands for -1 - n, which is the bitwise complement. */
  magnitude = negative ? PyNumber_Invert(value) : Py_NewRef(value);
  if (!magnitude || !(bits = PyObject_CallMethod(magnitude, "bit_length", NULL))) goto done;
  Py_ssize_t size = (PyLong_AsSsize_t(bits) + 7) / 8;
  if (size <= 8) {
    unsigned long long small = PyLong_AsUnsignedLongLong(magnitude);
    if (!PyErr_Occurred()) result = put_head(e->buffer, negative ? MAJOR_NEGATIVE : MAJOR_UNSIGNED, small);
    goto done;
  }
  if (!(bytes = PyObject_CallMethod(magnitude, "to_bytes", "ns", size, "big"))) goto done;
  if (put_head(e->buffer, MAJOR_TAG, negative ? TAG_BIG_NEGATIVE : TAG_BIG_POSITIVE) < 0 ||
      put_head(e->buffer, MAJOR_BYTES, (uint64_t)size) < 0)
    goto done;
  result = put(e->buffer, PyBytes_AS_STRING(bytes), (size_t)size);
done:
  Py_XDECREF(zero);
  Py_XDECREF(magnitude);
  Py_XDECREF(bits);
  Py_XDECREF(bytes);
  return result;
}

static int put_integer(encoder *e, PyObject *value) {
  int overflow;
  int64_t integer = PyLong_AsLongLongAndOverflow(value, &overflow);
  if (overflow) return put_big(e, value);
  if (integer == -1 && PyErr_Occurred()) return -1;
  return integer < 0 ? put_head(e->buffer, MAJOR_NEGATIVE, (uint64_t)~integer)
                     : put_head(e->buffer, MAJOR_UNSIGNED, (uint64_t)integer);
}

static int put_real(encoder *e, double value) {
  uint8_t bytes[9] = {MAJOR_SIMPLE << 5 | 27};
  uint64_t bits;
  memcpy(&bits, &value, 8);
  for (int i = 0; i < 8; i++) bytes[1 + i] = (uint8_t)(bits >> (8 * (7 - i)));
  return put(e->buffer, bytes, 9);
}

static int put_simple(encoder *e, int code) {
  uint8_t byte = (uint8_t)(MAJOR_SIMPLE << 5 | code);
  return put(e->buffer, &byte, 1);
}

/* 1 when `value` was a scalar, 0 when it is something else, -1 with an exception. */
static int put_scalar(encoder *e, PyObject *value) {
  int result;
  if (value == Py_None) result = put_simple(e, 22);
  else if (PyBool_Check(value)) result = put_simple(e, value == Py_True ? 21 : 20);
  else if (PyLong_Check(value)) result = put_integer(e, value);
  else if (PyFloat_Check(value)) result = put_real(e, PyFloat_AS_DOUBLE(value));
  else if (PyUnicode_Check(value)) result = put_text(e, value);
  else if (PyBytes_Check(value) && e->rules == VALUES_ANY) {
    result = put_head(e->buffer, MAJOR_BYTES, (uint64_t)PyBytes_GET_SIZE(value));
    if (result == 0) result = put(e->buffer, PyBytes_AS_STRING(value), (size_t)PyBytes_GET_SIZE(value));
  } else return 0;
  return result < 0 ? -1 : 1;
}

/* JSON object keys are text: numbers, bools and None are spelt as json.dumps spells them. */
static int put_json_key(encoder *e, PyObject *key) {
  PyObject *text = NULL;
  if (PyUnicode_Check(key)) return put_text(e, key);
  if (PyFloat_Check(key) || PyLong_Check(key) || key == Py_None) text = PyObject_CallOneArg(e->st->json_dumps, key);
  else return refuse(e, key, " as the key of a JSON object; use str, int, float, bool or None");
  int result = text ? put_text(e, text) : -1;
  Py_XDECREF(text);
  return result;
}

static int put_value(encoder *e, PyObject *value);

static int put_dict(encoder *e, PyObject *value) {
  PyObject *key, *item;
  Py_ssize_t at = 0;
  if (put_head(e->buffer, MAJOR_MAP, (uint64_t)PyDict_GET_SIZE(value)) < 0) return -1;
  while (PyDict_Next(value, &at, &key, &item)) {
    int done = e->rules == VALUES_JSON ? put_json_key(e, key) : put_scalar(e, key);
    if (done == 0 && e->rules == VALUES_ANY)
      return refuse(e, key, " as the key of a dict; use str, int, float, bool, bytes or None");
    if (done < 0 || put_value(e, item) < 0) return -1;
  }
  return 0;
}

static int put_sequence(encoder *e, PyObject *value) {
  if (PyTuple_Check(value) && e->rules == VALUES_ANY && put_head(e->buffer, MAJOR_TAG, VALUES_TUPLE_TAG) < 0) return -1;
  if (put_head(e->buffer, MAJOR_ARRAY, (uint64_t)PySequence_Fast_GET_SIZE(value)) < 0) return -1;
  for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(value); i++)
    if (put_value(e, PySequence_Fast_GET_ITEM(value, i)) < 0) return -1;
  return 0;
}

static int put_value(encoder *e, PyObject *value) {
  int done = put_scalar(e, value);
  if (done) return done < 0 ? -1 : 0;
  bool json = e->rules == VALUES_JSON;
  bool sequence =
    json ? PyList_Check(value) || PyTuple_Check(value) : PyList_CheckExact(value) || PyTuple_CheckExact(value);
  bool dict = json ? PyDict_Check(value) : PyDict_CheckExact(value);
  if (!sequence && !dict) {
    if (json) return refuse(e, value, ", which is not JSON; use None, bool, int, float, str, list or dict");
    /* A subclass would come back as its base class: a Counter as a dict without its behaviour. */
    if (PyDict_Check(value)) return refuse(e, value, "; store dict(value)");
    if (PyList_Check(value) || PyTuple_Check(value)) return refuse(e, value, "; store list(value) or tuple(value)");
    if (PyIndex_Check(value)) {
      PyObject *integer = PyNumber_Index(value);
      int result = integer ? put_integer(e, integer) : -1;
      Py_XDECREF(integer);
      return result;
    }
    return refuse(e, value, "; it stores None, bool, int, float, str, bytes, list, tuple and dict, or declare a dtype");
  }
  if (++e->depth > VALUES_MAX_DEPTH) {
    PyErr_Format(errors_class(e->st, MARTLET_VALUE_RANGE),
                 "state '%U' cannot store a value nested deeper than %d levels, or containing itself", e->state,
                 VALUES_MAX_DEPTH);
    return -1;
  }
  int result = dict ? put_dict(e, value) : put_sequence(e, value);
  e->depth--;
  return result;
}

int values_encode(engine_state *st, PyObject *state, values_rules rules, PyObject *value, values_buffer *buffer) {
  encoder e = {st, state, rules, buffer, 0};
  return put_value(&e, value);
}

typedef struct decoder {
  engine_state *st;
  const uint8_t *at;
  const uint8_t *end;
  int depth;
} decoder;

static PyObject *damaged(decoder *d) {
  if (!PyErr_Occurred())
    PyErr_SetString(errors_class(d->st, MARTLET_INTERNAL),
                    "the stored bytes of a state are not a value that this version wrote");
  return NULL;
}

static bool get_head(decoder *d, int *major, int *code, uint64_t *argument) {
  if (d->at >= d->end) return false;
  uint8_t head = *d->at++;
  *major = head >> 5;
  *code = head & 31;
  *argument = (uint64_t)*code;
  if (*code < 24) return true;
  if (*code > 27) return false;
  int extra = 1 << (*code - 24);
  if (d->end - d->at < extra) return false;
  *argument = 0;
  for (int i = 0; i < extra; i++) *argument = *argument << 8 | *d->at++;
  return true;
}

static PyObject *get_value(decoder *d);

static PyObject *get_sequence(decoder *d, uint64_t n, bool tuple) {
  if (n > (uint64_t)(d->end - d->at)) return damaged(d);
  PyObject *sequence = tuple ? PyTuple_New((Py_ssize_t)n) : PyList_New((Py_ssize_t)n);
  for (Py_ssize_t i = 0; sequence && i < (Py_ssize_t)n; i++) {
    PyObject *item = get_value(d);
    if (!item) Py_CLEAR(sequence);
    else if (tuple) PyTuple_SET_ITEM(sequence, i, item);
    else PyList_SET_ITEM(sequence, i, item);
  }
  return sequence;
}

static PyObject *get_dict(decoder *d, uint64_t n) {
  PyObject *dict = PyDict_New();
  for (uint64_t i = 0; dict && i < n; i++) {
    PyObject *key = get_value(d), *value = key ? get_value(d) : NULL;
    if (!value || PyDict_SetItem(dict, key, value) < 0) Py_CLEAR(dict);
    Py_XDECREF(key);
    Py_XDECREF(value);
  }
  return dict;
}

static PyObject *get_big(decoder *d, bool negative) {
  PyObject *bytes = get_value(d);
  if (!bytes || !PyBytes_Check(bytes)) {
    Py_XDECREF(bytes);
    return damaged(d);
  }
  PyObject *magnitude = PyObject_CallMethod((PyObject *)&PyLong_Type, "from_bytes", "Os", bytes, "big");
  Py_DECREF(bytes);
  if (!magnitude || !negative) return magnitude;
  PyObject *value = PyNumber_Invert(magnitude);
  Py_DECREF(magnitude);
  return value;
}

static PyObject *get_negative(uint64_t argument) {
  if (argument <= INT64_MAX) return PyLong_FromLongLong(~(int64_t)argument);
  PyObject *magnitude = PyLong_FromUnsignedLongLong(argument);
  PyObject *value = magnitude ? PyNumber_Invert(magnitude) : NULL;
  Py_XDECREF(magnitude);
  return value;
}

static PyObject *get_tagged(decoder *d, uint64_t tag) {
  int major, code;
  uint64_t argument;
  if (tag == TAG_BIG_POSITIVE || tag == TAG_BIG_NEGATIVE) return get_big(d, tag == TAG_BIG_NEGATIVE);
  if (tag != VALUES_TUPLE_TAG || !get_head(d, &major, &code, &argument) || major != MAJOR_ARRAY) return damaged(d);
  return get_sequence(d, argument, true);
}

static PyObject *get_nested(decoder *d, int major, uint64_t argument) {
  if (d->depth >= VALUES_MAX_DEPTH + 1) return damaged(d);
  d->depth++;
  PyObject *value = major == MAJOR_ARRAY ? get_sequence(d, argument, false)
                    : major == MAJOR_MAP ? get_dict(d, argument)
                                         : get_tagged(d, argument);
  d->depth--;
  return value;
}

static PyObject *get_value(decoder *d) {
  int major, code;
  uint64_t argument;
  if (!get_head(d, &major, &code, &argument)) return damaged(d);
  switch (major) {
    case MAJOR_UNSIGNED: return PyLong_FromUnsignedLongLong(argument);
    case MAJOR_NEGATIVE: return get_negative(argument);
    case MAJOR_BYTES:
    case MAJOR_TEXT: {
      if (argument > (uint64_t)(d->end - d->at)) return damaged(d);
      const char *bytes = (const char *)d->at;
      d->at += argument;
      return major == MAJOR_TEXT ? PyUnicode_DecodeUTF8(bytes, (Py_ssize_t)argument, NULL)
                                 : PyBytes_FromStringAndSize(bytes, (Py_ssize_t)argument);
    }
    case MAJOR_SIMPLE: {
      double real;
      if (code == 20 || code == 21) return PyBool_FromLong(code == 21);
      if (code == 22) return Py_NewRef(Py_None);
      if (code != 27) return damaged(d);
      memcpy(&real, &argument, 8);
      return PyFloat_FromDouble(real);
    }
    default: return get_nested(d, major, argument);
  }
}

PyObject *values_decode(engine_state *st, const uint8_t *bytes, size_t length) {
  decoder d = {st, bytes, bytes + length, 0};
  PyObject *value = get_value(&d);
  if (value && d.at != d.end) {
    Py_DECREF(value);
    return damaged(&d);
  }
  return value;
}
