#include "items.h"

#include "arrow.h"
#include "decimals.h"
#include "errors.h"
#include "temporal.h"

/* ---- types ----------------------------------------------------------------------------------------- */

static slot_kind slot_of(const martlet_column *field) {
  if (!field) return SLOT_BYTES;
  switch (field->type) {
    case MARTLET_TYPE_FLOAT16:
    case MARTLET_TYPE_FLOAT32:
    case MARTLET_TYPE_FLOAT64: return SLOT_REAL;
    case MARTLET_TYPE_BOOL:
    case MARTLET_TYPE_INT8:
    case MARTLET_TYPE_INT16:
    case MARTLET_TYPE_INT32:
    case MARTLET_TYPE_INT64:
    case MARTLET_TYPE_UINT8:
    case MARTLET_TYPE_UINT16:
    case MARTLET_TYPE_UINT32:
    case MARTLET_TYPE_UINT64:
    case MARTLET_TYPE_DATE32:
    case MARTLET_TYPE_DATE64:
    case MARTLET_TYPE_TIME32:
    case MARTLET_TYPE_TIME64:
    case MARTLET_TYPE_TIMESTAMP:
    case MARTLET_TYPE_DURATION: return SLOT_INTEGER;
    default: return SLOT_BYTES;
  }
}

static bool can_be_state(const martlet_column *field) {
  switch (field->type) {
    case MARTLET_TYPE_NULL:
    case MARTLET_TYPE_INTERVAL_MONTHS:
    case MARTLET_TYPE_INTERVAL_DAY_TIME:
    case MARTLET_TYPE_INTERVAL_MONTH_DAY_NANO: return false;
    default: return field->type < MARTLET_TYPE_LIST && !field->dictionary;
  }
}

/* Reads the type through a builder of one column, so that the engine's reading of formats is the only one. */
static int open_field(engine_state *st, PyObject *name, item_type *out) {
  struct ArrowSchema schema;
  martlet_error error;
  const char *format = item_type_format(out), *text = PyUnicode_AsUTF8(name);
  if (!format || !text || arrow_schema_init(&schema, "+s", "", 0, 1) < 0) return -1;
  if (arrow_schema_init(schema.children[0], format, text, ARROW_FLAG_NULLABLE, 0) < 0) {
    arrow_schema_release(&schema);
    return -1;
  }
  int32_t status = martlet_builder_create(&schema, &out->typed, &error);
  if (status != MARTLET_OK) {
    out->typed = NULL;
    return errors_raise(st, status, &error);
  }
  out->field = martlet_appender_field(martlet_builder_appender(out->typed, 0));
  return 0;
}

int item_type_open(engine_state *st, PyObject *name, PyObject *dtype, const char *what, item_type *out) {
  PyObject *config_error = errors_class(st, MARTLET_INVALID_ARGUMENT);
  out->dtype = Py_NewRef(dtype);
  out->slot = SLOT_BYTES;
  if (dtype == Py_None) {
    out->spec = Py_NewRef(Py_None);
    return 0;
  }
  if (!(out->spec = PyObject_CallOneArg(st->type_spec, dtype))) return -1;
  if (!PyUnicode_Check(out->spec)) {
    PyErr_Format(config_error,
                 "state '%U': %R is no type of a single value; leave dtype out to store lists, dicts and nested values",
                 name, dtype);
    return -1;
  }
  if (open_field(st, name, out) < 0) return -1;
  if (!can_be_state(out->field)) {
    PyErr_Format(config_error, "state '%U': %s of type %s cannot be state; leave dtype out to store any JSON-like value",
                 name, what, out->field->type_name);
    return -1;
  }
  out->slot = slot_of(out->field);
  return 0;
}

void item_type_close(item_type *type) {
  martlet_builder_free(type->typed);
  type->typed = NULL;
  Py_CLEAR(type->dtype);
  Py_CLEAR(type->spec);
}

bool item_type_is_text(const item_type *type) {
  return type->field && (type->field->type == MARTLET_TYPE_UTF8 || type->field->type == MARTLET_TYPE_LARGE_UTF8 ||
                         type->field->type == MARTLET_TYPE_UTF8_VIEW);
}

bool item_type_holds_json(const item_type *type) {
  return item_type_is_text(type) ||
         (type->field && (type->field->type == MARTLET_TYPE_BINARY || type->field->type == MARTLET_TYPE_LARGE_BINARY ||
                          type->field->type == MARTLET_TYPE_BINARY_VIEW));
}

/* ---- from Python ----------------------------------------------------------------------------------- */

void item_release(item *self) {
  if (self->has_scalar) scalar_release(&self->scalar);
  Py_CLEAR(self->owner);
  values_buffer_free(&self->buffer);
}

static int typed_from_python(engine_state *st, const item_type *type, const char *noun, PyObject *value, item *out) {
  if (type->field->type == MARTLET_TYPE_INT64 && PyLong_CheckExact(value)) {
    int overflow;
    out->value.integer = PyLong_AsLongLongAndOverflow(value, &overflow);
    if (!overflow) return 0;
  }
  scalar_target target = {noun, type->field->name, st->state_type_error};
  if (scalar_from_python(st, type->field, &target, value, &out->scalar) < 0) return -1;
  out->has_scalar = true;
  switch (out->scalar.kind) {
    case SCALAR_UINT64: out->value.integer = (int64_t)out->scalar.unsigned_integer; break;
    case SCALAR_BOOL:
    case SCALAR_INT64: out->value.integer = out->scalar.integer; break;
    case SCALAR_DOUBLE: out->value.real = out->scalar.real; break;
    default:
      out->value.bytes = out->scalar.bytes;
      out->value.length = out->scalar.length;
  }
  return 0;
}

/* The text that json.dumps makes, as str or bytes. */
static PyObject *json_text(engine_state *st, PyObject *state, const item_type *type, PyObject *value) {
  PyObject *text = PyObject_CallOneArg(st->json_dumps, value);
  if (!text) {
    if (PyErr_ExceptionMatches(PyExc_TypeError)) {
      PyErr_Clear();
      PyErr_Format(st->state_type_error, "state '%U' cannot store a value of type %s as JSON", state,
                   Py_TYPE(value)->tp_name);
    }
    return NULL;
  }
  if (item_type_is_text(type)) return text;
  PyObject *bytes = PyUnicode_AsUTF8String(text);
  Py_DECREF(text);
  return bytes;
}

int item_from_python(engine_state *st, PyObject *state, const item_type *type, const char *noun, values_rules rules,
                     PyObject *value, item *out) {
  if (!type->field) {
    if (values_encode(st, state, rules, value, &out->buffer) < 0) return -1;
    out->value.bytes = out->buffer.data;
    out->value.length = out->buffer.length;
    return 0;
  }
  if (rules == VALUES_JSON && item_type_holds_json(type)) {
    if (!(out->owner = json_text(st, state, type, value))) return -1;
    value = out->owner;
  }
  return typed_from_python(st, type, noun, value, out);
}

int key_from_python(engine_state *st, PyObject *state, const item_type *type, PyObject *key, item *out) {
  if (type->field) return typed_from_python(st, type, "key of state", key, out);
  if (key_encode(st, state, key, &out->buffer) < 0) return -1;
  out->value.bytes = out->buffer.data;
  out->value.length = out->buffer.length;
  return 0;
}

/* ---- to Python ------------------------------------------------------------------------------------- */

static PyObject *typed_to_python(engine_state *st, const martlet_column *field, const martlet_value *value) {
  switch (field->type) {
    case MARTLET_TYPE_FLOAT16:
    case MARTLET_TYPE_FLOAT32:
    case MARTLET_TYPE_FLOAT64: return PyFloat_FromDouble(value->real);
    case MARTLET_TYPE_BOOL: return PyBool_FromLong(value->integer != 0);
    case MARTLET_TYPE_UINT64: return PyLong_FromUnsignedLongLong((uint64_t)value->integer);
    case MARTLET_TYPE_INT8:
    case MARTLET_TYPE_INT16:
    case MARTLET_TYPE_INT32:
    case MARTLET_TYPE_INT64:
    case MARTLET_TYPE_UINT8:
    case MARTLET_TYPE_UINT16:
    case MARTLET_TYPE_UINT32: return PyLong_FromLongLong(value->integer);
    case MARTLET_TYPE_DATE32:
    case MARTLET_TYPE_DATE64:
    case MARTLET_TYPE_TIME32:
    case MARTLET_TYPE_TIME64:
    case MARTLET_TYPE_TIMESTAMP:
    case MARTLET_TYPE_DURATION: return temporal_to_python(st, field, value->integer);
    case MARTLET_TYPE_UTF8:
    case MARTLET_TYPE_LARGE_UTF8:
    case MARTLET_TYPE_UTF8_VIEW:
      return PyUnicode_DecodeUTF8((const char *)value->bytes, (Py_ssize_t)value->length, NULL);
    case MARTLET_TYPE_DECIMAL128: return decimal_to_python(st, value->bytes, 16, field->scale);
    default: return PyBytes_FromStringAndSize((const char *)value->bytes, (Py_ssize_t)value->length);
  }
}

PyObject *item_to_python(engine_state *st, const item_type *type, const martlet_value *value) {
  return type->field ? typed_to_python(st, type->field, value) : values_decode(st, value->bytes, value->length);
}

PyObject *key_to_python(engine_state *st, const item_type *type, const martlet_value *value) {
  return type->field ? typed_to_python(st, type->field, value) : key_decode(st, value->bytes, value->length);
}
