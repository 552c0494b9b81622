/* Dynamic keys of maps, as bytes whose order is that of the keys.
 *
 *   None    05
 *   bool    10 | 00 or 01
 *   int     20 | 00 (negative) or 01 | 8 bytes, big-endian      -2**63 … 2**64 - 1
 *   str     50 | UTF-8, 00 as 00 FF | 00 01
 *   bytes   51 | the same
 *   tuple   60 | the elements | 00
 *
 * The tags and escapes are those of canonical key bytes (docs/design/keys.md); no key is a prefix of another. */
#include "errors.h"
#include "items.h"

enum { TAG_NONE = 0x05, TAG_BOOL = 0x10, TAG_INT = 0x20, TAG_STR = 0x50, TAG_BYTES = 0x51, TAG_TUPLE = 0x60 };
enum { ZERO_BYTE = 0xFF, TEXT_END = 0x01, DEEPEST = 32 };

static int put_byte(values_buffer *buffer, int byte) {
  uint8_t value = (uint8_t)byte;
  return values_append(buffer, &value, 1);
}

static int put_escaped(values_buffer *buffer, int tag, const char *bytes, Py_ssize_t length) {
  static const uint8_t zero[2] = {0, ZERO_BYTE}, end[2] = {0, TEXT_END};
  if (put_byte(buffer, tag) < 0) return -1;
  while (length > 0) {
    const char *stop = memchr(bytes, 0, (size_t)length);
    Py_ssize_t plain = stop ? stop - bytes : length;
    if (values_append(buffer, bytes, (size_t)plain) < 0 || (stop && values_append(buffer, zero, 2) < 0)) return -1;
    bytes += plain + (stop ? 1 : 0);
    length -= plain + (stop ? 1 : 0);
  }
  return values_append(buffer, end, 2);
}

static int put_integer(engine_state *st, PyObject *state, PyObject *key, values_buffer *buffer) {
  int overflow;
  uint64_t bits = (uint64_t)PyLong_AsLongLongAndOverflow(key, &overflow);
  bool negative = (int64_t)bits < 0;
  if (overflow > 0) {
    bits = PyLong_AsUnsignedLongLong(key);
    negative = false;
    if (PyErr_Occurred()) {
      PyErr_Clear();
      overflow = -1;
    }
  }
  if (overflow < 0) {
    PyErr_Format(errors_class(st, MARTLET_VALUE_RANGE),
                 "state '%U': the key %R is outside the range of 64 bits; use a str or bytes", state, key);
    return -1;
  }
  uint8_t bytes[10] = {TAG_INT, negative ? 0 : 1};
  for (int i = 0; i < 8; i++) bytes[2 + i] = (uint8_t)(bits >> (8 * (7 - i)));
  return values_append(buffer, bytes, 10);
}

static int put_text(engine_state *st, PyObject *state, PyObject *key, values_buffer *buffer) {
  Py_ssize_t length;
  const char *text = PyUnicode_AsUTF8AndSize(key, &length);
  if (text) return put_escaped(buffer, TAG_STR, text, length);
  if (PyErr_ExceptionMatches(PyExc_UnicodeEncodeError)) {
    PyErr_Clear();
    PyErr_Format(errors_class(st, MARTLET_VALUE_RANGE),
                 "state '%U': the key %A contains a lone surrogate, which is not valid text; use bytes", state, key);
  }
  return -1;
}

static int put_key(engine_state *st, PyObject *state, PyObject *key, values_buffer *buffer, int depth) {
  if (PyUnicode_Check(key)) return put_text(st, state, key, buffer);
  if (key == Py_None) return put_byte(buffer, TAG_NONE);
  if (PyBool_Check(key)) return put_byte(buffer, TAG_BOOL) < 0 ? -1 : put_byte(buffer, key == Py_True);
  if (PyLong_Check(key)) return put_integer(st, state, key, buffer);
  if (PyBytes_Check(key)) return put_escaped(buffer, TAG_BYTES, PyBytes_AS_STRING(key), PyBytes_GET_SIZE(key));
  if (PyTuple_CheckExact(key)) {
    if (depth == DEEPEST) {
      PyErr_Format(errors_class(st, MARTLET_VALUE_RANGE), "state '%U': a key is nested deeper than %d levels", state,
                   DEEPEST);
      return -1;
    }
    if (put_byte(buffer, TAG_TUPLE) < 0) return -1;
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(key); i++)
      if (put_key(st, state, PyTuple_GET_ITEM(key, i), buffer, depth + 1) < 0) return -1;
    return put_byte(buffer, 0);
  }
  PyErr_Format(st->state_type_error,
               "state '%U': a key of type %s is not possible; use None, bool, int, str, bytes or a tuple of these%s", state,
               Py_TYPE(key)->tp_name,
               PyFloat_Check(key) ? " (floats that print alike can differ)" : ", or declare key_dtype");
  return -1;
}

int key_encode(engine_state *st, PyObject *state, PyObject *key, values_buffer *buffer) {
  return put_key(st, state, key, buffer, 0);
}

/* ---- decoding ---------------------------------------------------------------------------------------- */

typedef struct reader {
  engine_state *st;
  const uint8_t *at;
  const uint8_t *end;
} reader;

static PyObject *damaged(reader *r) {
  if (!PyErr_Occurred())
    PyErr_SetString(errors_class(r->st, MARTLET_INTERNAL),
                    "the stored bytes of a map's key are not a key that this version wrote");
  return NULL;
}

static PyObject *get_escaped(reader *r, int tag) {
  const uint8_t *start = r->at;
  size_t zeros = 0;
  for (;; r->at++) {
    if (!(r->at = memchr(r->at, 0, (size_t)(r->end - r->at))) || ++r->at == r->end) return damaged(r);
    if (*r->at == TEXT_END) break;
    if (*r->at != ZERO_BYTE) return damaged(r);
    zeros++;
  }
  size_t length = (size_t)(r->at - 1 - start);
  r->at++;
  const uint8_t *bytes = start;
  uint8_t *plain = NULL;
  if (zeros) {
    if (!(plain = PyMem_Malloc(length))) return PyErr_NoMemory();
    size_t n = 0;
    for (size_t i = 0; i < length; i++) {
      plain[n++] = start[i];
      if (start[i] == 0) i++;
    }
    bytes = plain;
    length = n;
  }
  PyObject *key = tag == TAG_STR ? PyUnicode_DecodeUTF8((const char *)bytes, (Py_ssize_t)length, NULL)
                                 : PyBytes_FromStringAndSize((const char *)bytes, (Py_ssize_t)length);
  PyMem_Free(plain);
  return key;
}

static PyObject *get_key(reader *r, int depth) {
  if (r->at >= r->end || depth > DEEPEST) return damaged(r);
  int tag = *r->at++;
  ptrdiff_t rest = r->end - r->at;
  switch (tag) {
    case TAG_NONE: return Py_NewRef(Py_None);
    case TAG_BOOL: return rest < 1 || *r->at > 1 ? damaged(r) : PyBool_FromLong(*r->at++);
    case TAG_INT: {
      uint64_t bits = 0;
      if (rest < 9 || *r->at > 1) return damaged(r);
      bool negative = *r->at++ == 0;
      for (int i = 0; i < 8; i++) bits = bits << 8 | *r->at++;
      return negative ? PyLong_FromLongLong((int64_t)bits) : PyLong_FromUnsignedLongLong(bits);
    }
    case TAG_STR:
    case TAG_BYTES: return rest < 2 ? damaged(r) : get_escaped(r, tag);
    case TAG_TUPLE: {
      PyObject *list = PyList_New(0);
      while (list && r->at < r->end && *r->at != 0) {
        PyObject *element = get_key(r, depth + 1);
        if (!element || PyList_Append(list, element) < 0) Py_CLEAR(list);
        Py_XDECREF(element);
      }
      if (list && r->at++ >= r->end) {
        Py_CLEAR(list);
        damaged(r);
      }
      PyObject *tuple = list ? PyList_AsTuple(list) : NULL;
      Py_XDECREF(list);
      return tuple;
    }
    default: return damaged(r);
  }
}

PyObject *key_decode(engine_state *st, const uint8_t *bytes, size_t length) {
  reader r = {st, bytes, bytes + length};
  PyObject *key = get_key(&r, 0);
  if (key && r.at != r.end) {
    Py_DECREF(key);
    return damaged(&r);
  }
  return key;
}
