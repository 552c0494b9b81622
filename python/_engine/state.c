/* `ValueState`. */
#include "errors.h"
#include "items.h"
#include "keeper.h"
#include "state_value.h"

typedef struct value_state_object {
  state_object base;
  PyObject *default_value;
} value_state_object;

/* ---- get and set, shared by all kinds that keep one value ------------------------------------------- */

int value_get(state_object *self, state_binding *binding, PyObject **out) {
  martlet_error error;
  martlet_value value;
  int32_t present = 0, status;
  if (keeper_before(self, binding, KEEPER_WHOLE, NULL) < 0) return -1;
  switch (self->value.slot) {
    case SLOT_INTEGER: status = martlet_value_get_int64(binding->handle, &value.integer, &present, &error); break;
    case SLOT_REAL: status = martlet_value_get_double(binding->handle, &value.real, &present, &error); break;
    default: status = martlet_value_get_bytes(binding->handle, &value.bytes, &value.length, &present, &error); break;
  }
  if (status != MARTLET_OK) return state_failed(self, binding, status, &error);
  if (!present) return 0;
  *out = item_to_python(state_of((PyObject *)self), &self->value, &value);
  return *out ? 1 : -1;
}

int value_set(state_object *self, state_binding *binding, PyObject *value, values_rules rules) {
  martlet_error error;
  int32_t status;
  if (self->value.field && self->value.field->type == MARTLET_TYPE_INT64 && PyLong_CheckExact(value)) {
    int overflow;
    long long integer = PyLong_AsLongLongAndOverflow(value, &overflow);
    if (!overflow) {
      status = martlet_value_set_int64(binding->handle, integer, &error);
      return status == MARTLET_OK ? keeper_after(self, binding, KEEPER_WHOLE, NULL) : state_failed(self, binding, status, &error);
    }
  }
  item item;
  item_init(&item);
  int result =
    item_from_python(state_of((PyObject *)self), self->name, &self->value, "state", rules, value, &item);
  if (result < 0) state_locate(binding);
  else {
    switch (self->value.slot) {
      case SLOT_INTEGER:
        status = item.has_scalar && item.scalar.kind == SCALAR_UINT64
                   ? martlet_value_set_uint64(binding->handle, (uint64_t)item.value.integer, &error)
                   : martlet_value_set_int64(binding->handle, item.value.integer, &error);
        break;
      case SLOT_REAL: status = martlet_value_set_double(binding->handle, item.value.real, &error); break;
      default: status = martlet_value_set_bytes(binding->handle, item.value.bytes, item.value.length, &error); break;
    }
    result = status == MARTLET_OK ? keeper_after(self, binding, KEEPER_WHOLE, NULL)
                                  : state_failed(self, binding, status, &error);
  }
  item_release(&item);
  return result;
}

/* ---- methods ---------------------------------------------------------------------------------------- */

/* By value like everything else: a list or dict that a callback changes must not change the default of other keys. */
static PyObject *default_of(value_state_object *self) {
  if (!PyList_Check(self->default_value) && !PyDict_Check(self->default_value) && !PyTuple_Check(self->default_value))
    return Py_NewRef(self->default_value);
  engine_state *st = state_of((PyObject *)self);
  PyObject *copy = NULL;
  values_buffer buffer;
  values_buffer_init(&buffer);
  if (values_encode(st, self->base.name, VALUES_ANY, self->default_value, &buffer) == 0)
    copy = values_decode(st, buffer.data, buffer.length);
  values_buffer_free(&buffer);
  return copy;
}

static PyObject *value_state_get(value_state_object *self, PyObject *unused) {
  (void)unused;
  PyObject *value;
  state_binding *binding = state_bound(&self->base);
  int found = binding ? value_get(&self->base, binding, &value) : -1;
  return found > 0 ? value : found == 0 ? default_of(self) : NULL;
}

static PyObject *set_with(value_state_object *self, PyObject *value, values_rules rules) {
  if (value == Py_None) return state_clear(&self->base, NULL);
  state_binding *binding = state_bound(&self->base);
  if (!binding || value_set(&self->base, binding, value, rules) < 0) return NULL;
  Py_RETURN_NONE;
}

static PyObject *value_state_set(value_state_object *self, PyObject *value) { return set_with(self, value, VALUES_ANY); }

static PyObject *value_state_get_json(value_state_object *self, PyObject *unused) {
  PyObject *stored;
  (void)unused;
  state_binding *binding = state_bound(&self->base);
  int found = binding ? value_get(&self->base, binding, &stored) : -1;
  /* The default is a value, not a text that was stored. */
  if (found <= 0) return found < 0 ? NULL : default_of(self);
  if (!item_type_holds_json(&self->base.value)) return stored;
  PyObject *value = PyObject_CallOneArg(state_of((PyObject *)self)->json_loads, stored);
  Py_DECREF(stored);
  return value;
}

static PyObject *value_state_set_json(value_state_object *self, PyObject *value) {
  return set_with(self, value, VALUES_JSON);
}

/* ---- the declaration -------------------------------------------------------------------------------- */

static int check_default(engine_state *st, value_state_object *self) {
  item item;
  if (self->default_value == Py_None) return 0;
  item_init(&item);
  int result = item_from_python(st, self->base.name, &self->base.value, "default of state", VALUES_ANY,
                                self->default_value, &item);
  item_release(&item);
  return result;
}

static PyObject *value_state_create(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
  static const char *const keywords[] = {"name", "dtype", "default", "ttl", NULL};
  PyObject *name, *dtype = Py_None, *default_value = Py_None, *ttl = NULL;
  if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O|O$OO:ValueState", (char **)(void *)keywords, &name, &dtype,
                                   &default_value, &ttl))
    return NULL;
  value_state_object *self =
    (value_state_object *)state_declare(type, MARTLET_STATE_VALUE, args, kwargs, name, dtype, ttl);
  if (!self) return NULL;
  self->default_value = Py_NewRef(default_value);
  if (check_default(PyType_GetModuleState(type), self) == 0) return (PyObject *)self;
  Py_DECREF(self);
  return NULL;
}

static int value_state_traverse(value_state_object *self, visitproc visit, void *arg) {
  Py_VISIT(self->default_value);
  return state_traverse(&self->base, visit, arg);
}

static int value_state_tp_clear(value_state_object *self) {
  Py_CLEAR(self->default_value);
  return state_tp_clear(&self->base);
}

static void value_state_dealloc(value_state_object *self) {
  PyObject_GC_UnTrack(self);
  Py_CLEAR(self->default_value);
  state_free(&self->base);
}

static PyObject *value_state_default(value_state_object *self, void *unused) {
  (void)unused;
  return Py_NewRef(self->default_value);
}

static PyGetSetDef value_state_getset[] = {
  {"default", (getter)value_state_default, NULL, "What get() returns when there is no value.", NULL},
  {NULL, NULL, NULL, NULL, NULL}};

static PyMethodDef value_state_methods[] = {
  {"get", (PyCFunction)value_state_get, METH_NOARGS,
   "The current key's value, or the default (None) when there is none."},
  {"set", (PyCFunction)value_state_set, METH_O, "Stores a value for the current key; None clears it."},
  {"clear", (PyCFunction)state_clear, METH_NOARGS, "Removes the current key's value."},
  {"exists", (PyCFunction)state_exists, METH_NOARGS, "Whether the current key has a value."},
  {"get_json", (PyCFunction)value_state_get_json, METH_NOARGS, "The value that set_json stored, decoded."},
  {"set_json", (PyCFunction)value_state_set_json, METH_O,
   "Stores a JSON-serialisable value; it comes back as json.loads would give it."},
  {NULL, NULL, 0, NULL}};

static PyType_Slot value_state_slots[] = {
  {Py_tp_doc,
   "ValueState(name, dtype=None, *, default=None, ttl=None)\n\n"
   "One value per key. Declared as an attribute of a process function or passed to apply_process_function; inside a "
   "callback it reads and writes the current key's value (Flink: ValueState). dtype: int, float, bool, str, bytes, "
   "datetime, date, time, timedelta, Decimal or an Arrow type name such as 'int32' makes a typed native slot; without it "
   "any JSON-like value is stored by value. ttl: how long a value stays valid, a duration or a TTL."},
  {Py_tp_new, value_state_create},
  {Py_tp_dealloc, value_state_dealloc},
  {Py_tp_traverse, value_state_traverse},
  {Py_tp_clear, value_state_tp_clear},
  {Py_tp_getset, value_state_getset},
  {Py_tp_methods, value_state_methods},
  {0, NULL}};

static PyType_Spec value_state_spec = {.name = "martlet._engine.ValueState",
                                       .basicsize = sizeof(value_state_object),
                                       .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE,
                                       .slots = value_state_slots};

int state_value_init(PyObject *module, engine_state *st) {
  PyTypeObject *type = state_add_kind(module, st, &value_state_spec);
  Py_XDECREF(type);
  return type ? 0 : -1;
}
