#include "state.h"

#include "arrow.h"
#include "binding.h"
#include "decimals.h"
#include "errors.h"
#include "operator.h"
#include "scalars.h"
#include "temporal.h"
#include "values.h"

const char *state_format(value_state_object *self) {
  return self->spec == Py_None ? NULL : PyUnicode_AsUTF8(self->spec);
}

/* ---- get ------------------------------------------------------------------------------------------- */

static int failed(value_state_object *self, state_binding *binding, int32_t status, const martlet_error *error) {
  errors_raise(state_of((PyObject *)self), status, error);
  operator_locate_error(binding->operator);
  return -1;
}

static PyObject *from_bytes(value_state_object *self, const uint8_t *bytes, size_t length) {
  engine_state *st = state_of((PyObject *)self);
  if (!self->field) return values_decode(st, bytes, length);
  switch (self->field->type) {
    case MARTLET_TYPE_UTF8:
    case MARTLET_TYPE_LARGE_UTF8:
    case MARTLET_TYPE_UTF8_VIEW: return PyUnicode_DecodeUTF8((const char *)bytes, (Py_ssize_t)length, NULL);
    case MARTLET_TYPE_DECIMAL128: return decimal_to_python(st, bytes, 16, self->field->scale);
    case MARTLET_TYPE_DECIMAL256: return decimal_to_python(st, bytes, 32, self->field->scale);
    default: return PyBytes_FromStringAndSize((const char *)bytes, (Py_ssize_t)length);
  }
}

typedef enum slot_kind { SLOT_INTEGER, SLOT_REAL, SLOT_BYTES } slot_kind;

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

static PyObject *from_integer(value_state_object *self, int64_t value) {
  switch (self->field->type) {
    case MARTLET_TYPE_BOOL: return PyBool_FromLong(value != 0);
    case MARTLET_TYPE_UINT64: return PyLong_FromUnsignedLongLong((uint64_t)value);
    case MARTLET_TYPE_DATE32:
    case MARTLET_TYPE_DATE64:
    case MARTLET_TYPE_TIME32:
    case MARTLET_TYPE_TIME64:
    case MARTLET_TYPE_TIMESTAMP:
    case MARTLET_TYPE_DURATION: return temporal_to_python(state_of((PyObject *)self), self->field, value);
    default: return PyLong_FromLongLong(value);
  }
}

/* By value like everything else: a list or dict that a callback changes must not change the default of other keys. */
static PyObject *default_of(value_state_object *self) {
  if (!PyList_Check(self->default_value) && !PyDict_Check(self->default_value) && !PyTuple_Check(self->default_value))
    return Py_NewRef(self->default_value);
  engine_state *st = state_of((PyObject *)self);
  PyObject *copy = NULL;
  values_buffer buffer;
  values_buffer_init(&buffer);
  if (values_encode(st, self->name, VALUES_ANY, self->default_value, &buffer) == 0)
    copy = values_decode(st, buffer.data, buffer.length);
  values_buffer_free(&buffer);
  return copy;
}

static PyObject *state_get(value_state_object *self, PyObject *unused) {
  (void)unused;
  state_binding *binding = state_bound(self);
  if (!binding) return NULL;
  martlet_error error;
  int32_t present = 0, status;
  switch (slot_of(self->field)) {
    case SLOT_INTEGER: {
      int64_t value;
      status = martlet_value_get_int64(binding->handle, &value, &present, &error);
      if (status == MARTLET_OK && present) return from_integer(self, value);
      break;
    }
    case SLOT_REAL: {
      double value;
      status = martlet_value_get_double(binding->handle, &value, &present, &error);
      if (status == MARTLET_OK && present) return PyFloat_FromDouble(value);
      break;
    }
    default: {
      const uint8_t *bytes;
      size_t length;
      status = martlet_value_get_bytes(binding->handle, &bytes, &length, &present, &error);
      if (status == MARTLET_OK && present) return from_bytes(self, bytes, length);
      break;
    }
  }
  if (status == MARTLET_OK) return default_of(self);
  failed(self, binding, status, &error);
  return NULL;
}

/* ---- set ------------------------------------------------------------------------------------------- */

static int set_typed(value_state_object *self, state_binding *binding, PyObject *value) {
  engine_state *st = state_of((PyObject *)self);
  scalar_target target = {"state", self->field->name, st->state_type_error};
  scalar scalar;
  martlet_error error;
  int32_t status;
  if (scalar_from_python(st, self->field, &target, value, &scalar) < 0) {
    operator_locate_error(binding->operator);
    return -1;
  }
  switch (scalar.kind) {
    case SCALAR_UINT64: status = martlet_value_set_uint64(binding->handle, scalar.unsigned_integer, &error); break;
    case SCALAR_BOOL:
    case SCALAR_INT64: status = martlet_value_set_int64(binding->handle, scalar.integer, &error); break;
    case SCALAR_DOUBLE: status = martlet_value_set_double(binding->handle, scalar.real, &error); break;
    default: status = martlet_value_set_bytes(binding->handle, scalar.bytes, scalar.length, &error); break;
  }
  scalar_release(&scalar);
  return status == MARTLET_OK ? 0 : failed(self, binding, status, &error);
}

static int set_dynamic(value_state_object *self, state_binding *binding, PyObject *value, values_rules rules) {
  martlet_error error;
  values_buffer buffer;
  values_buffer_init(&buffer);
  int result = values_encode(state_of((PyObject *)self), self->name, rules, value, &buffer);
  if (result < 0) operator_locate_error(binding->operator);
  else {
    int32_t status = martlet_value_set_bytes(binding->handle, buffer.data, buffer.length, &error);
    if (status != MARTLET_OK) result = failed(self, binding, status, &error);
  }
  values_buffer_free(&buffer);
  return result;
}

static int clear_bound(value_state_object *self, state_binding *binding) {
  martlet_error error;
  int32_t status = martlet_value_clear(binding->handle, &error);
  return status == MARTLET_OK ? 0 : failed(self, binding, status, &error);
}

static int set_any(value_state_object *self, state_binding *binding, PyObject *value, values_rules rules) {
  if (value == Py_None) return clear_bound(self, binding);
  if (!self->field) return set_dynamic(self, binding, value, rules);
  if (self->field->type == MARTLET_TYPE_INT64 && PyLong_CheckExact(value)) {
    int overflow;
    long long integer = PyLong_AsLongLongAndOverflow(value, &overflow);
    if (!overflow) {
      martlet_error error;
      int32_t status = martlet_value_set_int64(binding->handle, integer, &error);
      return status == MARTLET_OK ? 0 : failed(self, binding, status, &error);
    }
  }
  return set_typed(self, binding, value);
}

static PyObject *state_set(value_state_object *self, PyObject *value) {
  state_binding *binding = state_bound(self);
  if (!binding || set_any(self, binding, value, VALUES_ANY) < 0) return NULL;
  Py_RETURN_NONE;
}

static PyObject *state_clear(value_state_object *self, PyObject *unused) {
  (void)unused;
  state_binding *binding = state_bound(self);
  if (!binding || clear_bound(self, binding) < 0) return NULL;
  Py_RETURN_NONE;
}

static PyObject *state_exists(value_state_object *self, PyObject *unused) {
  (void)unused;
  state_binding *binding = state_bound(self);
  martlet_error error;
  int32_t present = 0;
  if (!binding) return NULL;
  int32_t status = martlet_value_exists(binding->handle, &present, &error);
  if (status == MARTLET_OK) return PyBool_FromLong(present);
  failed(self, binding, status, &error);
  return NULL;
}

/* ---- JSON ------------------------------------------------------------------------------------------ */

static bool holds_text(const martlet_column *field) {
  return field && (field->type == MARTLET_TYPE_UTF8 || field->type == MARTLET_TYPE_LARGE_UTF8 ||
                   field->type == MARTLET_TYPE_UTF8_VIEW || field->type == MARTLET_TYPE_BINARY ||
                   field->type == MARTLET_TYPE_LARGE_BINARY || field->type == MARTLET_TYPE_BINARY_VIEW);
}

static PyObject *state_get_json(value_state_object *self, PyObject *unused) {
  PyObject *stored = state_get(self, unused);
  /* The default is a value, not a text that was stored. */
  if (!stored || stored == self->default_value || !holds_text(self->field)) return stored;
  PyObject *value = PyObject_CallOneArg(state_of((PyObject *)self)->json_loads, stored);
  Py_DECREF(stored);
  return value;
}

static PyObject *state_set_json(value_state_object *self, PyObject *value) {
  state_binding *binding = state_bound(self);
  if (!binding) return NULL;
  if (value == Py_None || !holds_text(self->field)) {
    if (set_any(self, binding, value, VALUES_JSON) < 0) return NULL;
    Py_RETURN_NONE;
  }
  PyObject *text = PyObject_CallOneArg(state_of((PyObject *)self)->json_dumps, value), *bytes = NULL;
  bool is_text = self->field->type == MARTLET_TYPE_UTF8 || self->field->type == MARTLET_TYPE_LARGE_UTF8 ||
                 self->field->type == MARTLET_TYPE_UTF8_VIEW;
  if (!text) {
    if (!PyErr_ExceptionMatches(PyExc_TypeError)) return NULL;
    PyErr_Clear();
    PyErr_Format(state_of((PyObject *)self)->state_type_error, "state '%U' cannot store a value of type %s as JSON",
                 self->name, Py_TYPE(value)->tp_name);
    operator_locate_error(binding->operator);
    return NULL;
  }
  if (!is_text) bytes = PyUnicode_AsUTF8String(text);
  int result = is_text || bytes ? set_any(self, binding, is_text ? text : bytes, VALUES_ANY) : -1;
  Py_DECREF(text);
  Py_XDECREF(bytes);
  return result < 0 ? NULL : Py_NewRef(Py_None);
}

/* ---- the declaration ------------------------------------------------------------------------------- */

/* Reads the slot's type through a builder of one column, so that the engine's reading of formats is the only one. */
static int open_type(engine_state *st, value_state_object *self) {
  struct ArrowSchema schema;
  martlet_error error;
  const char *format = state_format(self), *name = PyUnicode_AsUTF8(self->name);
  if (!format || !name || arrow_schema_init(&schema, "+s", "", 0, 1) < 0) return -1;
  if (arrow_schema_init(schema.children[0], format, name, ARROW_FLAG_NULLABLE, 0) < 0) {
    arrow_schema_release(&schema);
    return -1;
  }
  int32_t status = martlet_builder_create(&schema, &self->typed, &error);
  if (status != MARTLET_OK) {
    self->typed = NULL;
    return errors_raise(st, status, &error);
  }
  self->field = martlet_appender_field(martlet_builder_appender(self->typed, 0));
  return 0;
}

static bool type_can_be_state(const martlet_column *field) {
  switch (field->type) {
    case MARTLET_TYPE_NULL:
    case MARTLET_TYPE_INTERVAL_MONTHS:
    case MARTLET_TYPE_INTERVAL_DAY_TIME:
    case MARTLET_TYPE_INTERVAL_MONTH_DAY_NANO: return false;
    default: return field->type < MARTLET_TYPE_LIST && !field->dictionary;
  }
}

static int check_default(engine_state *st, value_state_object *self) {
  int result;
  if (self->default_value == Py_None) return 0;
  if (self->field) {
    scalar_target target = {"default of state", self->field->name, st->state_type_error};
    scalar scalar;
    result = scalar_from_python(st, self->field, &target, self->default_value, &scalar);
    if (result == 0) scalar_release(&scalar);
  } else {
    values_buffer buffer;
    values_buffer_init(&buffer);
    result = values_encode(st, self->name, VALUES_ANY, self->default_value, &buffer);
    values_buffer_free(&buffer);
  }
  return result;
}

static PyObject *state_create(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
  static const char *const keywords[] = {"name", "dtype", "default", NULL};
  engine_state *st = PyType_GetModuleState(type);
  PyObject *name, *dtype = Py_None, *default_value = Py_None;
  if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O|O$O:ValueState", (char **)(void *)keywords, &name, &dtype,
                                   &default_value))
    return NULL;
  PyObject *config_error = errors_class(st, MARTLET_INVALID_ARGUMENT);
  if (!PyUnicode_Check(name) || PyUnicode_GET_LENGTH(name) == 0) {
    PyErr_Format(config_error, "the name of a state is a str that is not empty, got %R", name);
    return NULL;
  }
  if (PyUnicode_FindChar(name, 0, 0, PyUnicode_GET_LENGTH(name), 1) >= 0) {
    PyErr_Format(config_error, "the name of a state contains a NUL character: %R", name);
    return NULL;
  }
  value_state_object *self = (value_state_object *)type->tp_alloc(type, 0);
  if (!self) return NULL;
  self->name = Py_NewRef(name);
  self->dtype = Py_NewRef(dtype);
  self->default_value = Py_NewRef(default_value);
  if (dtype == Py_None) {
    self->spec = Py_NewRef(Py_None);
    if (check_default(st, self) < 0) goto fail;
    return (PyObject *)self;
  }
  if (!(self->spec = PyObject_CallOneArg(st->type_spec, dtype))) goto fail;
  if (!PyUnicode_Check(self->spec)) {
    PyErr_Format(config_error,
                 "state '%U': %R is no type of a single value; leave dtype out to store lists, dicts and nested values",
                 name, dtype);
    goto fail;
  }
  if (open_type(st, self) < 0) goto fail;
  if (!type_can_be_state(self->field)) {
    PyErr_Format(config_error,
                 "state '%U': values of type %s cannot be state; leave dtype out to store any JSON-like value", name,
                 self->field->type_name);
    goto fail;
  }
  if (check_default(st, self) < 0) goto fail;
  return (PyObject *)self;
fail:
  Py_DECREF(self);
  return NULL;
}

static int state_traverse(value_state_object *self, visitproc visit, void *arg) {
  Py_VISIT(Py_TYPE(self));
  Py_VISIT(self->dtype);
  Py_VISIT(self->default_value);
  Py_VISIT(self->others);
  return 0;
}

static int state_tp_clear(value_state_object *self) {
  Py_CLEAR(self->default_value);
  Py_CLEAR(self->others);
  return 0;
}

static void state_dealloc(value_state_object *self) {
  PyObject_GC_UnTrack(self);
  martlet_builder_free(self->typed);
  Py_XDECREF(self->name);
  Py_XDECREF(self->dtype);
  Py_XDECREF(self->spec);
  state_tp_clear(self);
  free_object((PyObject *)self);
}

static PyObject *state_repr(value_state_object *self) {
  PyObject *type = self->field ? PyUnicode_FromString(self->field->type_name) : NULL;
  PyObject *text = type ? PyUnicode_FromFormat("ValueState(%R, %R", self->name, type)
                        : PyUnicode_FromFormat("ValueState(%R", self->name);
  Py_XDECREF(type);
  if (!text) return NULL;
  PyObject *whole = self->default_value == Py_None ? PyUnicode_FromFormat("%U)", text)
                                                   : PyUnicode_FromFormat("%U, default=%R)", text, self->default_value);
  Py_DECREF(text);
  return whole;
}

/* Pickled and copied as its declaration: a handle does not outlive its operator. */
static PyObject *state_reduce(value_state_object *self, PyObject *unused) {
  (void)unused;
  PyObject *rebuild = PyObject_GetAttrString((PyObject *)self, "_rebuild");
  return rebuild ? Py_BuildValue("N(OOO)", rebuild, self->name, self->dtype, self->default_value) : NULL;
}

static PyObject *state_rebuild(PyTypeObject *type, PyObject *args) {
  PyObject *name, *dtype, *default_value;
  if (!PyArg_ParseTuple(args, "OOO", &name, &dtype, &default_value)) return NULL;
  PyObject *positional = PyTuple_Pack(2, name, dtype), *keywords = Py_BuildValue("{sO}", "default", default_value),
           *self = NULL;
  if (positional && keywords) self = state_create(type, positional, keywords);
  Py_XDECREF(positional);
  Py_XDECREF(keywords);
  return self;
}

/* A copy that is bound for every thread; see `is_private`. */
static PyObject *state_private_copy(value_state_object *self, PyObject *unused) {
  (void)unused;
  PyObject *args = PyTuple_Pack(3, self->name, self->dtype, self->default_value);
  PyObject *copy = args ? state_rebuild(Py_TYPE(self), args) : NULL;
  Py_XDECREF(args);
  if (copy) ((value_state_object *)copy)->is_private = 1;
  return copy;
}

static PyObject *state_name(value_state_object *self, void *unused) {
  (void)unused;
  return Py_NewRef(self->name);
}

static PyObject *state_dtype(value_state_object *self, void *unused) {
  (void)unused;
  return Py_NewRef(self->dtype);
}

static PyObject *state_default(value_state_object *self, void *unused) {
  (void)unused;
  return Py_NewRef(self->default_value);
}

static PyGetSetDef state_getset[] = {
  {"name", (getter)state_name, NULL, "The state's name, unique in its operator.", NULL},
  {"dtype", (getter)state_dtype, NULL, "The declared type; None for dynamic values.", NULL},
  {"default", (getter)state_default, NULL, "What get() returns when there is no value.", NULL},
  {NULL, NULL, NULL, NULL, NULL}};

static PyMethodDef state_methods[] = {
  {"get", (PyCFunction)state_get, METH_NOARGS, "The current key's value, or the default (None) when there is none."},
  {"set", (PyCFunction)state_set, METH_O, "Stores a value for the current key; None clears it."},
  {"clear", (PyCFunction)state_clear, METH_NOARGS, "Removes the current key's value."},
  {"exists", (PyCFunction)state_exists, METH_NOARGS, "Whether the current key has a value."},
  {"get_json", (PyCFunction)state_get_json, METH_NOARGS, "The value that set_json stored, decoded."},
  {"set_json", (PyCFunction)state_set_json, METH_O,
   "Stores a JSON-serialisable value; it comes back as json.loads would give it."},
  {"__reduce__", (PyCFunction)state_reduce, METH_NOARGS, NULL},
  {"_rebuild", (PyCFunction)state_rebuild, METH_VARARGS | METH_CLASS, NULL},
  {"_private_copy", (PyCFunction)state_private_copy, METH_NOARGS, NULL},
  {NULL, NULL, 0, NULL}};

static PyType_Slot state_slots[] = {{Py_tp_doc,
                                     "ValueState(name, dtype=None, *, default=None)\n\n"
                                     "One value per key. Declared as an attribute of a process function or passed to "
                                     "apply_process_function; inside a callback it reads "
                                     "and writes the current key's value (Flink: ValueState). dtype: int, float, bool, "
                                     "str, bytes, datetime, date, time, timedelta, Decimal "
                                     "or an Arrow type name such as 'int32' makes a typed native slot; without it any "
                                     "JSON-like value is stored by value."},
                                    {Py_tp_new, state_create},
                                    {Py_tp_dealloc, state_dealloc},
                                    {Py_tp_traverse, state_traverse},
                                    {Py_tp_clear, state_tp_clear},
                                    {Py_tp_repr, state_repr},
                                    {Py_tp_getset, state_getset},
                                    {Py_tp_methods, state_methods},
                                    {0, NULL}};

static PyType_Spec state_spec = {.name = "martlet._engine.ValueState",
                                 .basicsize = sizeof(value_state_object),
                                 .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE,
                                 .slots = state_slots};

int state_init(PyObject *module, engine_state *st) {
  st->value_state_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &state_spec, NULL);
  return st->value_state_type ? PyModule_AddType(module, st->value_state_type) : -1;
}
