#include "decimals.h"

#define LIMBS (DECIMAL_MAX_BYTES / 4)

PyObject *decimal_to_python(engine_state *st, const uint8_t *bytes, int32_t width, int32_t scale) {
  uint32_t limbs[LIMBS] = {0};
  char text[112];
  int at = (int)sizeof text, n = width / 4;
  memcpy(limbs, bytes, (size_t)width);
  bool negative = bytes[width - 1] & 0x80;
  if (negative) {
    uint64_t carry = 1;
    for (int i = 0; i < n; i++) {
      carry += (uint32_t)~limbs[i];
      limbs[i] = (uint32_t)carry;
      carry >>= 32;
    }
  }
  /* Nine decimal digits at a time, last ones first. */
  bool more = true;
  while (more) {
    uint64_t rest = 0;
    more = false;
    for (int i = n - 1; i >= 0; i--) {
      rest = rest << 32 | limbs[i];
      limbs[i] = (uint32_t)(rest / 1000000000);
      rest %= 1000000000;
      more |= limbs[i] != 0;
    }
    for (int digit = 0; digit < 9 && (more || rest || digit == 0); digit++) {
      text[--at] = (char)('0' + rest % 10);
      rest /= 10;
    }
  }
  if (negative) text[--at] = '-';
  PyObject *digits = PyUnicode_FromStringAndSize(text + at, (Py_ssize_t)sizeof text - at);
  PyObject *literal = digits ? PyUnicode_FromFormat("%UE%d", digits, -scale) : NULL;
  PyObject *value = literal ? PyObject_CallOneArg(st->decimal, literal) : NULL;
  Py_XDECREF(digits);
  Py_XDECREF(literal);
  return value;
}

/* (sign, digits, exponent) of a Decimal; `*digits` is new. */
static decimal_result take_apart(PyObject *value, bool *negative, PyObject **digits, int64_t *exponent) {
  PyObject *tuple = PyObject_CallMethod(value, "as_tuple", NULL);
  if (!tuple) return DECIMAL_FAILED;
  decimal_result result = DECIMAL_NOT_FINITE;
  PyObject *power = PyTuple_GET_ITEM(tuple, 2);
  if (PyLong_Check(power)) {
    *negative = PyObject_IsTrue(PyTuple_GET_ITEM(tuple, 0)) == 1;
    *digits = Py_NewRef(PyTuple_GET_ITEM(tuple, 1));
    *exponent = PyLong_AsLongLong(power);
    result = DECIMAL_OK;
  }
  Py_DECREF(tuple);
  return result;
}

static bool times_ten_plus(uint32_t limbs[LIMBS], uint32_t digit) {
  uint64_t carry = digit;
  for (int i = 0; i < LIMBS; i++) {
    carry += (uint64_t)limbs[i] * 10;
    limbs[i] = (uint32_t)carry;
    carry >>= 32;
  }
  return carry == 0;
}

decimal_result decimal_from_python(engine_state *st, PyObject *value, int32_t precision, int32_t scale, int32_t width,
                                   uint8_t out[DECIMAL_MAX_BYTES]) {
  PyObject *decimal, *digits = NULL;
  bool negative = false;
  int64_t exponent = 0;
  int is_decimal = PyObject_IsInstance(value, st->decimal);
  if (is_decimal < 0) return DECIMAL_FAILED;
  if (is_decimal) decimal = Py_NewRef(value);
  else if (PyLong_Check(value) && !PyBool_Check(value)) decimal = PyObject_CallOneArg(st->decimal, value);
  else return DECIMAL_MISMATCH;
  if (!decimal) return DECIMAL_FAILED;
  decimal_result result = take_apart(decimal, &negative, &digits, &exponent);
  Py_DECREF(decimal);
  if (result != DECIMAL_OK) return result;

  uint32_t limbs[LIMBS] = {0};
  Py_ssize_t n = PyTuple_GET_SIZE(digits);
  int64_t significant = 0, shift = exponent + scale;
  for (Py_ssize_t i = 0; i < n && result == DECIMAL_OK; i++) {
    uint32_t digit = (uint32_t)PyLong_AsLong(PyTuple_GET_ITEM(digits, i));
    if (shift < 0 && i >= n + shift) {
      if (digit) result = DECIMAL_INEXACT;
      continue;
    }
    if (significant || digit) significant++;
    if (significant > precision || !times_ten_plus(limbs, digit)) result = DECIMAL_OUT_OF_RANGE;
  }
  Py_DECREF(digits);
  for (; shift > 0 && significant && result == DECIMAL_OK; shift--)
    if (++significant > precision || !times_ten_plus(limbs, 0)) result = DECIMAL_OUT_OF_RANGE;
  if (result != DECIMAL_OK) return result;
  if (negative) {
    uint64_t carry = 1;
    for (int i = 0; i < LIMBS; i++) {
      carry += (uint32_t)~limbs[i];
      limbs[i] = (uint32_t)carry;
      carry >>= 32;
    }
  }
  memcpy(out, limbs, (size_t)width);
  return DECIMAL_OK;
}

bool decimal_shape(PyObject *value, int64_t *integer_digits, int64_t *scale) {
  bool negative;
  PyObject *digits = NULL;
  int64_t exponent;
  if (take_apart(value, &negative, &digits, &exponent) != DECIMAL_OK) return false;
  int64_t n = PyTuple_GET_SIZE(digits);
  *scale = exponent < 0 ? -exponent : 0;
  *integer_digits = n + exponent > 0 ? n + exponent : 0;
  Py_DECREF(digits);
  return true;
}
