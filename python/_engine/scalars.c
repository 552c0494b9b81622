#include "scalars.h"

#include <float.h>
#include <math.h>

#include "decimals.h"
#include "errors.h"
#include "temporal.h"

int scalar_mismatch(const martlet_column *field, const scalar_target *target, PyObject *value, const char *hint) {
  PyObject *preview = errors_preview(value);
  PyErr_Format(target->mismatch, "%s '%s': expected %s, got %s %V%s%s", target->noun, target->name, field->type_name,
               Py_TYPE(value)->tp_name, preview, "?", hint ? "; " : "", hint ? hint : "");
  Py_XDECREF(preview);
  return -1;
}

int scalar_out_of_range(engine_state *st, const martlet_column *field, const scalar_target *target, PyObject *value,
                        const char *why) {
  PyObject *preview = errors_preview(value);
  PyErr_Format(errors_class(st, MARTLET_VALUE_RANGE), "%s '%s': %s %V %s %s", target->noun, target->name,
               Py_TYPE(value)->tp_name, preview, "?", why, field->type_name);
  Py_XDECREF(preview);
  return -1;
}

void scalar_release(scalar *value) {
  if (value->kind == SCALAR_BYTES && value->buffer.obj) PyBuffer_Release(&value->buffer);
}

static int integer_scalar(engine_state *st, const martlet_column *field, const scalar_target *target, PyObject *value,
                          scalar *out) {
  /* bool is an int in Python and another type in Arrow; a flag in a number column is a mistake more often than a wish.
   */
  if (PyBool_Check(value) || !PyIndex_Check(value)) return scalar_mismatch(field, target, value, NULL);
  PyObject *number = PyNumber_Index(value);
  if (!number) return -1;
  int overflow;
  int64_t integer = PyLong_AsLongLongAndOverflow(number, &overflow);
  bool fits = !overflow;
  out->kind = SCALAR_INT64;
  out->integer = integer;
  switch (field->type) {
    case MARTLET_TYPE_INT8: fits = fits && integer >= INT8_MIN && integer <= INT8_MAX; break;
    case MARTLET_TYPE_INT16: fits = fits && integer >= INT16_MIN && integer <= INT16_MAX; break;
    case MARTLET_TYPE_INT32: fits = fits && integer >= INT32_MIN && integer <= INT32_MAX; break;
    case MARTLET_TYPE_UINT8: fits = fits && integer >= 0 && integer <= UINT8_MAX; break;
    case MARTLET_TYPE_UINT16: fits = fits && integer >= 0 && integer <= UINT16_MAX; break;
    case MARTLET_TYPE_UINT32: fits = fits && integer >= 0 && integer <= UINT32_MAX; break;
    case MARTLET_TYPE_UINT64:
      out->kind = SCALAR_UINT64;
      if (overflow > 0) {
        out->unsigned_integer = PyLong_AsUnsignedLongLong(number);
        fits = !PyErr_Occurred();
        PyErr_Clear();
      } else fits = fits && integer >= 0;
      break;
    default: break;
  }
  Py_DECREF(number);
  return fits ? 0 : scalar_out_of_range(st, field, target, value, "is outside the range of");
}

static int real_scalar(engine_state *st, const martlet_column *field, const scalar_target *target, PyObject *value,
                       scalar *out) {
  PyNumberMethods *methods = Py_TYPE(value)->tp_as_number;
  if (PyBool_Check(value) || !methods || !(methods->nb_float || methods->nb_index))
    return scalar_mismatch(field, target, value, NULL);
  double real = PyFloat_AsDouble(value);
  if (real == -1.0 && PyErr_Occurred()) {
    if (!PyErr_ExceptionMatches(PyExc_OverflowError)) return -1;
    PyErr_Clear();
    return scalar_out_of_range(st, field, target, value, "is outside the range of");
  }
  double most = field->type == MARTLET_TYPE_FLOAT32 ? FLT_MAX : field->type == MARTLET_TYPE_FLOAT16 ? 65504.0 : DBL_MAX;
  if (isfinite(real) && fabs(real) > most)
    return scalar_out_of_range(st, field, target, value, "is outside the range of");
  out->kind = SCALAR_DOUBLE;
  out->real = real;
  return 0;
}

static int text_scalar(engine_state *st, const martlet_column *field, const scalar_target *target, PyObject *value,
                       scalar *out) {
  Py_ssize_t length;
  if (!PyUnicode_Check(value)) return scalar_mismatch(field, target, value, NULL);
  const char *bytes = PyUnicode_AsUTF8AndSize(value, &length);
  if (!bytes) {
    if (!PyErr_ExceptionMatches(PyExc_UnicodeEncodeError)) return -1;
    PyErr_Clear();
    return scalar_out_of_range(st, field, target, value, "contains a lone surrogate, which is not valid text for");
  }
  out->bytes = bytes;
  out->length = (size_t)length;
  return 0;
}

static int binary_scalar(engine_state *st, const martlet_column *field, const scalar_target *target, PyObject *value,
                         scalar *out) {
  if (PyBytes_CheckExact(value)) {
    out->bytes = PyBytes_AS_STRING(value);
    out->length = (size_t)PyBytes_GET_SIZE(value);
  } else {
    if (!PyObject_CheckBuffer(value)) return scalar_mismatch(field, target, value, NULL);
    if (PyObject_GetBuffer(value, &out->buffer, PyBUF_SIMPLE) < 0) return -1;
    out->bytes = out->buffer.buf;
    out->length = (size_t)out->buffer.len;
  }
  if (field->type == MARTLET_TYPE_FIXED_BINARY && out->length != (size_t)field->width) {
    scalar_release(out);
    return scalar_out_of_range(st, field, target, value, "has another length than");
  }
  return 0;
}

static int decimal_scalar(engine_state *st, const martlet_column *field, const scalar_target *target, PyObject *value,
                          scalar *out) {
  int32_t width = field->type == MARTLET_TYPE_DECIMAL128 ? 16 : 32;
  out->bytes = out->inline_bytes;
  out->length = (size_t)width;
  switch (decimal_from_python(st, value, field->precision, field->scale, width, out->inline_bytes)) {
    case DECIMAL_OK: return 0;
    case DECIMAL_MISMATCH: return scalar_mismatch(field, target, value, "use decimal.Decimal or int");
    case DECIMAL_NOT_FINITE: return scalar_out_of_range(st, field, target, value, "is not finite and has no place in");
    case DECIMAL_INEXACT: return scalar_out_of_range(st, field, target, value, "has more decimal places than");
    case DECIMAL_OUT_OF_RANGE: return scalar_out_of_range(st, field, target, value, "has more digits than");
    default: return -1;
  }
}

/* What to do about a value of another type; NULL when nothing is likely. */
static const char *temporal_hint(const martlet_column *field, const scalar_target *target, PyObject *value) {
  if (PyBool_Check(value) || !PyIndex_Check(value)) return NULL;
  /* An int has no unit, so it is never taken for a time; the times that ctx shows are ints. */
  bool is_column = !strcmp(target->noun, "column");
  switch (field->type) {
    case MARTLET_TYPE_TIMESTAMP:
      if (!is_column) return "use a datetime, or dtype=int for epoch milliseconds such as ctx.timestamp";
      return field->timezone
               ? "use a datetime with a time zone, or declare the column as int64 for epoch milliseconds such as ctx.timestamp"
               : "use a datetime without a time zone, or declare the column as int64 for epoch milliseconds such as "
                 "ctx.timestamp";
    case MARTLET_TYPE_DATE32:
    case MARTLET_TYPE_DATE64: return "use a datetime.date";
    case MARTLET_TYPE_DURATION: return "use a datetime.timedelta";
    default: return "use a datetime.time";
  }
}

static int temporal_scalar(engine_state *st, const martlet_column *field, const scalar_target *target, PyObject *value,
                           scalar *out) {
  out->kind = SCALAR_INT64;
  switch (temporal_from_python(st, field, value, &out->integer)) {
    case TEMPORAL_OK:
      if (field->type != MARTLET_TYPE_DATE32 || (out->integer >= INT32_MIN && out->integer <= INT32_MAX)) return 0;
      /* fall through */
    case TEMPORAL_OUT_OF_RANGE: return scalar_out_of_range(st, field, target, value, "is outside the range of");
    case TEMPORAL_MISMATCH: return scalar_mismatch(field, target, value, temporal_hint(field, target, value));
    case TEMPORAL_NAIVE: return scalar_mismatch(field, target, value, "it has no time zone (tzinfo)");
    case TEMPORAL_AWARE:
      return scalar_mismatch(field, target, value, "it has a time zone (tzinfo) and the type has none");
    default: return -1;
  }
}

static int interval_scalar(engine_state *st, const martlet_column *field, const scalar_target *target, PyObject *value,
                           scalar *out) {
  long long parts[3] = {0, 0, 0};
  out->bytes = out->inline_bytes;
  if (field->type == MARTLET_TYPE_INTERVAL_DAY_TIME) {
    martlet_column milliseconds = *field;
    int64_t total;
    milliseconds.type = MARTLET_TYPE_DURATION;
    milliseconds.unit = MARTLET_UNIT_MILLI;
    if (temporal_from_python(st, &milliseconds, value, &total) != TEMPORAL_OK)
      return scalar_mismatch(field, target, value, "use timedelta");
    int64_t days = total / 86400000;
    if (days < INT32_MIN || days > INT32_MAX)
      return scalar_out_of_range(st, field, target, value, "is outside the range of");
    int32_t pair[2] = {(int32_t)days, (int32_t)(total % 86400000)};
    memcpy(out->inline_bytes, pair, out->length = 8);
    return 0;
  }
  if (field->type == MARTLET_TYPE_INTERVAL_MONTHS) {
    if (integer_scalar(st, field, target, value, out) < 0) return -1;
    parts[0] = out->integer;
    out->kind = SCALAR_BYTES;
  } else if (!PyTuple_Check(value) || !PyArg_ParseTuple(value, "LLL", &parts[0], &parts[1], &parts[2])) {
    PyErr_Clear();
    return scalar_mismatch(field, target, value, "use a tuple (months, days, nanoseconds)");
  }
  if (parts[0] < INT32_MIN || parts[0] > INT32_MAX || parts[1] < INT32_MIN || parts[1] > INT32_MAX)
    return scalar_out_of_range(st, field, target, value, "is outside the range of");
  int32_t months = (int32_t)parts[0], days = (int32_t)parts[1];
  int64_t nanos = parts[2];
  memcpy(out->inline_bytes, &months, 4);
  memcpy(out->inline_bytes + 4, &days, 4);
  memcpy(out->inline_bytes + 8, &nanos, 8);
  out->length = field->type == MARTLET_TYPE_INTERVAL_MONTHS ? 4 : 16;
  return 0;
}

int scalar_from_python(engine_state *st, const martlet_column *field, const scalar_target *target, PyObject *value,
                       scalar *out) {
  out->kind = SCALAR_BYTES;
  out->buffer.obj = NULL;
  switch (field->type) {
    case MARTLET_TYPE_NULL:
      return scalar_mismatch(field, target, value,
                             "the type was inferred from None; declare it with output= or schema=");
    case MARTLET_TYPE_BOOL: {
      bool is_true = value == Py_True;
      if (!PyBool_Check(value)) {
        /* numpy's bool is no subclass of bool; it is one in every other way. */
        const char *name = Py_TYPE(value)->tp_name;
        if (strcmp(name, "numpy.bool") && strcmp(name, "numpy.bool_"))
          return scalar_mismatch(field, target, value, NULL);
        is_true = PyObject_IsTrue(value) == 1;
      }
      out->kind = SCALAR_BOOL;
      out->integer = is_true;
      return 0;
    }
    case MARTLET_TYPE_INT8:
    case MARTLET_TYPE_INT16:
    case MARTLET_TYPE_INT32:
    case MARTLET_TYPE_INT64:
    case MARTLET_TYPE_UINT8:
    case MARTLET_TYPE_UINT16:
    case MARTLET_TYPE_UINT32:
    case MARTLET_TYPE_UINT64: return integer_scalar(st, field, target, value, out);
    case MARTLET_TYPE_FLOAT16:
    case MARTLET_TYPE_FLOAT32:
    case MARTLET_TYPE_FLOAT64: return real_scalar(st, field, target, value, out);
    case MARTLET_TYPE_UTF8:
    case MARTLET_TYPE_LARGE_UTF8:
    case MARTLET_TYPE_UTF8_VIEW: return text_scalar(st, field, target, value, out);
    case MARTLET_TYPE_BINARY:
    case MARTLET_TYPE_LARGE_BINARY:
    case MARTLET_TYPE_BINARY_VIEW:
    case MARTLET_TYPE_FIXED_BINARY: return binary_scalar(st, field, target, value, out);
    case MARTLET_TYPE_DECIMAL128:
    case MARTLET_TYPE_DECIMAL256: return decimal_scalar(st, field, target, value, out);
    case MARTLET_TYPE_INTERVAL_MONTHS:
    case MARTLET_TYPE_INTERVAL_DAY_TIME:
    case MARTLET_TYPE_INTERVAL_MONTH_DAY_NANO: return interval_scalar(st, field, target, value, out);
    case MARTLET_TYPE_DATE32:
    case MARTLET_TYPE_DATE64:
    case MARTLET_TYPE_TIME32:
    case MARTLET_TYPE_TIME64:
    case MARTLET_TYPE_TIMESTAMP:
    case MARTLET_TYPE_DURATION: return temporal_scalar(st, field, target, value, out);
    default: return scalar_mismatch(field, target, value, NULL);
  }
}
