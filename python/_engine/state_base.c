/* What every kind of state has in common, and the type `State` that they derive from. */
#include "binding.h"
#include "errors.h"
#include "items.h"
#include "keeper.h"
#include "operator.h"
#include "state.h"
#include "state_value.h"

int state_spec(state_object *self, martlet_state_spec *spec) {
  *spec = (martlet_state_spec){.struct_size = sizeof *spec,
                               .kind = self->kind,
                               .name = PyUnicode_AsUTF8(self->name),
                               .format = item_type_format(&self->value),
                               .reducer = self->reducer,
                               .ttl_flags = self->ttl_flags,
                               .ttl_ms = self->ttl_ms};
  if (state_is_map(self)) spec->key_format = item_type_format(state_map_key(self));
  return PyErr_Occurred() ? -1 : 0;
}

int state_locate(state_binding *binding) {
  operator_locate_error(binding->operator);
  return -1;
}

int state_failed(state_object *self, state_binding *binding, int32_t status, const martlet_error *error) {
  errors_raise(state_of((PyObject *)self), status, error);
  return state_locate(binding);
}

/* ---- the declaration ------------------------------------------------------------------------------- */

static int read_ttl(engine_state *st, state_object *self, PyObject *ttl) {
  self->ttl = Py_NewRef(Py_None);
  if (!ttl || ttl == Py_None) return 0;
  PyObject *lifetime = PyObject_CallOneArg(st->as_ttl, ttl), *ms = NULL, *flags = NULL;
  if (!lifetime) return -1;
  Py_SETREF(self->ttl, lifetime);
  if ((ms = PyObject_GetAttrString(lifetime, "duration_ms")) && (flags = PyObject_GetAttrString(lifetime, "flags"))) {
    self->ttl_ms = PyLong_AsLongLong(ms);
    self->ttl_flags = (int32_t)PyLong_AsLong(flags);
  }
  Py_XDECREF(ms);
  Py_XDECREF(flags);
  return PyErr_Occurred() ? -1 : 0;
}

state_object *state_declare(PyTypeObject *type, int32_t kind, PyObject *arguments, PyObject *options, PyObject *name,
                            PyObject *dtype, PyObject *ttl) {
  engine_state *st = PyType_GetModuleState(type);
  PyObject *config_error = errors_class(st, MARTLET_INVALID_ARGUMENT);
  if (!PyUnicode_Check(name) || PyUnicode_GET_LENGTH(name) == 0) {
    PyErr_Format(config_error, "the name of a state is a str that is not empty, got %R", name);
    return NULL;
  }
  if (PyUnicode_FindChar(name, 0, 0, PyUnicode_GET_LENGTH(name), 1) >= 0) {
    PyErr_Format(config_error, "the name of a state contains a NUL character: %R", name);
    return NULL;
  }
  state_object *self = (state_object *)type->tp_alloc(type, 0);
  if (!self) return NULL;
  self->kind = kind;
  self->name = Py_NewRef(name);
  self->arguments = Py_NewRef(arguments);
  self->options = options ? PyDict_Copy(options) : PyDict_New();
  if (self->options && read_ttl(st, self, ttl) == 0 && item_type_open(st, name, dtype, "values", &self->value) == 0)
    return self;
  Py_DECREF(self);
  return NULL;
}

int state_traverse(state_object *self, visitproc visit, void *arg) {
  Py_VISIT(Py_TYPE(self));
  Py_VISIT(self->arguments);
  Py_VISIT(self->options);
  Py_VISIT(self->value.dtype);
  Py_VISIT(self->ttl);
  Py_VISIT(self->others);
  return 0;
}

int state_tp_clear(state_object *self) {
  Py_CLEAR(self->arguments);
  Py_CLEAR(self->options);
  Py_CLEAR(self->others);
  return 0;
}

void state_free(state_object *self) {
  item_type_close(&self->value);
  Py_XDECREF(self->name);
  Py_XDECREF(self->ttl);
  state_tp_clear(self);
  free_object((PyObject *)self);
}

/* A declared type by its Arrow name, everything else as it is. */
static PyObject *one_argument(state_object *self, PyObject *argument) {
  const item_type *key = state_is_map(self) ? state_map_key(self) : NULL;
  const martlet_column *field = argument == self->value.dtype    ? self->value.field
                                : key && argument == key->dtype ? key->field
                                                                : NULL;
  return field ? PyUnicode_FromFormat("'%s'", field->type_name) : PyObject_Repr(argument);
}

static PyObject *argument_text(state_object *self, PyObject *arguments, PyObject *options) {
  PyObject *parts = PyList_New(0), *key, *value, *text = NULL, *comma = NULL;
  Py_ssize_t at = 0;
  for (Py_ssize_t i = 0; parts && i < PyTuple_GET_SIZE(arguments); i++) {
    PyObject *part = one_argument(self, PyTuple_GET_ITEM(arguments, i));
    if (!part || PyList_Append(parts, part) < 0) Py_CLEAR(parts);
    Py_XDECREF(part);
  }
  while (parts && PyDict_Next(options, &at, &key, &value)) {
    PyObject *argument = one_argument(self, value);
    PyObject *part = argument ? PyUnicode_FromFormat("%U=%U", key, argument) : NULL;
    Py_XDECREF(argument);
    if (!part || PyList_Append(parts, part) < 0) Py_CLEAR(parts);
    Py_XDECREF(part);
  }
  if (parts && (comma = PyUnicode_FromString(", "))) text = PyUnicode_Join(comma, parts);
  Py_XDECREF(comma);
  Py_XDECREF(parts);
  return text;
}

/* As it was written. */
static PyObject *state_repr(state_object *self) {
  if (!self->arguments || !self->options) return PyUnicode_FromFormat("<state '%U'>", self->name);
  PyObject *kind = PyType_GetName(Py_TYPE(self)), *text = kind ? argument_text(self, self->arguments, self->options) : NULL;
  PyObject *whole = text ? PyUnicode_FromFormat("%U(%U)", kind, text) : NULL;
  Py_XDECREF(kind);
  Py_XDECREF(text);
  return whole;
}

/* ---- copies ---------------------------------------------------------------------------------------- */

static PyObject *state_rebuild(PyTypeObject *type, PyObject *args) {
  PyObject *arguments, *options;
  if (!PyArg_ParseTuple(args, "O!O!", &PyTuple_Type, &arguments, &PyDict_Type, &options)) return NULL;
  return PyObject_Call((PyObject *)type, arguments, options);
}

/* Pickled and copied as its declaration: a handle does not outlive its operator. */
static PyObject *state_reduce(state_object *self, PyObject *unused) {
  (void)unused;
  PyObject *rebuild = PyObject_GetAttrString((PyObject *)self, "_rebuild");
  return rebuild ? Py_BuildValue("N(OO)", rebuild, self->arguments, self->options) : NULL;
}

/* A copy that is bound for every thread; see `is_private`. */
static PyObject *state_private_copy(state_object *self, PyObject *unused) {
  (void)unused;
  PyObject *copy = PyObject_Call((PyObject *)Py_TYPE(self), self->arguments, self->options);
  if (copy) ((state_object *)copy)->is_private = 1;
  return copy;
}

/* ---- what every kind can do ------------------------------------------------------------------------ */

PyObject *state_clear(state_object *self, PyObject *unused) {
  (void)unused;
  state_binding *binding = state_bound(self);
  martlet_error error;
  if (!binding) return NULL;
  int32_t status = martlet_value_clear(binding->handle, &error);
  if (status == MARTLET_OK) return keeper_after(self, binding, KEEPER_CLEARED, NULL) < 0 ? NULL : Py_NewRef(Py_None);
  state_failed(self, binding, status, &error);
  return NULL;
}

PyObject *state_exists(state_object *self, PyObject *unused) {
  (void)unused;
  state_binding *binding = state_bound(self);
  martlet_error error;
  int32_t present = 0;
  if (!binding || keeper_before(self, binding, KEEPER_WHOLE, NULL) < 0) return NULL;
  int32_t status = martlet_value_exists(binding->handle, &present, &error);
  if (status == MARTLET_OK) return PyBool_FromLong(present);
  state_failed(self, binding, status, &error);
  return NULL;
}

/* Whether the state is one value: what the next two are for. 0 or -1. */
static int check_is_value(state_object *self) {
  if (self->kind != MARTLET_STATE_LIST && !state_is_map(self)) return 0;
  PyErr_Format(PyExc_TypeError, "state '%U' is not one value", self->name);
  return -1;
}

/* What is kept for the current key, as it is kept: of an aggregating state the accumulator. For keepers. */
static PyObject *state_stored(state_object *self, PyObject *unused) {
  (void)unused;
  PyObject *value;
  state_binding *binding = check_is_value(self) < 0 ? NULL : state_bound(self);
  int found = binding ? value_get(self, binding, &value) : -1;
  return found > 0 ? value : found == 0 ? Py_NewRef(Py_None) : NULL;
}

static PyObject *state_store(state_object *self, PyObject *value) {
  state_binding *binding = check_is_value(self) < 0 ? NULL : state_bound(self);
  return binding && value_set(self, binding, value, VALUES_ANY) == 0 ? Py_NewRef(Py_None) : NULL;
}

static PyObject *state_name(state_object *self, void *unused) {
  (void)unused;
  return Py_NewRef(self->name);
}

static PyObject *state_dtype(state_object *self, void *unused) {
  (void)unused;
  return Py_NewRef(self->value.dtype);
}

static PyObject *state_ttl(state_object *self, void *unused) {
  (void)unused;
  return Py_NewRef(self->ttl);
}

void state_dealloc(state_object *self) {
  PyObject_GC_UnTrack(self);
  state_free(self);
}

static PyGetSetDef state_getset[] = {
  {"name", (getter)state_name, NULL, "The state's name, unique in its operator.", NULL},
  {"dtype", (getter)state_dtype, NULL,
   "The declared type of the value, of elements, of a map's values or of the accumulator; None for dynamic values.", NULL},
  {"ttl", (getter)state_ttl, NULL, "The TTL; None: nothing expires.", NULL},
  {NULL, NULL, NULL, NULL, NULL}};

static PyMethodDef state_methods[] = {
  {"clear", (PyCFunction)state_clear, METH_NOARGS, "Forgets what the current key has."},
  {"exists", (PyCFunction)state_exists, METH_NOARGS, "Whether the current key has anything."},
  {"__reduce__", (PyCFunction)state_reduce, METH_NOARGS, NULL},
  {"_rebuild", (PyCFunction)state_rebuild, METH_VARARGS | METH_CLASS, NULL},
  {"_stored", (PyCFunction)state_stored, METH_NOARGS, NULL},
  {"_store", (PyCFunction)state_store, METH_O, NULL},
  {"_stamped", (PyCFunction)state_stamped, METH_NOARGS, NULL},
  {"_put_stamped", (PyCFunction)state_put_stamped, METH_VARARGS, NULL},
  {"_private_copy", (PyCFunction)state_private_copy, METH_NOARGS, NULL},
  {NULL, NULL, 0, NULL}};

static PyType_Slot state_slots[] = {
  {Py_tp_doc, "Keyed state of any kind: a declaration and, inside a callback, the handle to what the current key has."},
  {Py_tp_dealloc, state_dealloc},
  {Py_tp_traverse, state_traverse},
  {Py_tp_clear, state_tp_clear},
  {Py_tp_repr, state_repr},
  {Py_tp_getset, state_getset},
  {Py_tp_methods, state_methods},
  {0, NULL}};

static PyType_Spec state_type_spec = {.name = "martlet._engine.State",
                                  .basicsize = sizeof(state_object),
                                  .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE |
                                           Py_TPFLAGS_BASETYPE | Py_TPFLAGS_DISALLOW_INSTANTIATION,
                                  .slots = state_slots};

PyTypeObject *state_add_kind(PyObject *module, engine_state *st, PyType_Spec *spec) {
  PyTypeObject *type = (PyTypeObject *)PyType_FromModuleAndSpec(module, spec, (PyObject *)st->state_type);
  if (type && PyModule_AddType(module, type) < 0) Py_CLEAR(type);
  return type;
}

int state_init(PyObject *module, engine_state *st) {
  st->state_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &state_type_spec, NULL);
  if (!st->state_type || PyModule_AddType(module, st->state_type) < 0) return -1;
  return state_value_init(module, st) < 0 || state_list_init(module, st) < 0 || state_map_init(module, st) < 0 ||
             state_reduce_init(module, st) < 0 || state_aggregate_init(module, st) < 0
           ? -1
           : 0;
}
