/* `AggregatingState`: an accumulator per key. */
#include "errors.h"
#include "items.h"
#include "state_value.h"

typedef struct aggregating_state_object {
  state_object base;
  PyObject *create, *add, *result, *merge; /* merge may be None */
} aggregating_state_object;

/* Stores what the user's function made, which is stolen. */
static PyObject *store(aggregating_state_object *self, PyObject *accumulator, const char *function) {
  if (!accumulator) return NULL;
  state_binding *binding = state_bound(&self->base);
  int result = -1;
  if (binding && accumulator == Py_None) {
    PyErr_Format(state_of((PyObject *)self)->state_type_error,
                 "aggregating state '%U': %s() returned None; return the accumulator", self->base.name, function);
    state_locate(binding);
  } else if (binding) result = value_set(&self->base, binding, accumulator, VALUES_ANY);
  Py_DECREF(accumulator);
  return result < 0 ? NULL : Py_NewRef(Py_None);
}

/* The accumulator: 1, 0 when there is none, -1 with an exception. A state whose functions the collector took is bound no
 * more. */
static int current(aggregating_state_object *self, PyObject **accumulator) {
  state_binding *binding = self->create ? state_bound(&self->base) : NULL;
  return binding ? value_get(&self->base, binding, accumulator) : -1;
}

static PyObject *aggregating_add(aggregating_state_object *self, PyObject *value) {
  PyObject *accumulator = NULL;
  int found = current(self, &accumulator);
  if (found == 0) accumulator = PyObject_CallNoArgs(self->create);
  if (!accumulator) return NULL;
  PyObject *next = PyObject_CallFunctionObjArgs(self->add, accumulator, value, NULL);
  Py_DECREF(accumulator);
  return store(self, next, "add");
}

static PyObject *aggregating_merge(aggregating_state_object *self, PyObject *other) {
  PyObject *accumulator = NULL;
  state_binding *binding = state_bound(&self->base);
  if (!binding) return NULL;
  if (self->merge == Py_None) {
    PyErr_Format(errors_class(state_of((PyObject *)self), MARTLET_STATE_ACCESS),
                 "aggregating state '%U' was declared without merge; pass merge=, a function of two accumulators",
                 self->base.name);
    state_locate(binding);
    return NULL;
  }
  int found = current(self, &accumulator);
  if (found < 0) return NULL;
  PyObject *next = found ? PyObject_CallFunctionObjArgs(self->merge, accumulator, other, NULL) : Py_NewRef(other);
  Py_XDECREF(accumulator);
  return store(self, next, "merge");
}

static PyObject *aggregating_get(aggregating_state_object *self, PyObject *unused) {
  (void)unused;
  PyObject *accumulator = NULL;
  int found = current(self, &accumulator);
  if (found <= 0) return found < 0 ? NULL : Py_NewRef(Py_None);
  PyObject *result = PyObject_CallOneArg(self->result, accumulator);
  Py_DECREF(accumulator);
  return result;
}

static PyObject *aggregating_create(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
  static const char *const keywords[] = {"name", "create", "add", "result", "merge", "dtype", "ttl", NULL};
  PyObject *name, *functions[4] = {NULL, NULL, NULL, Py_None}, *dtype = Py_None, *ttl = NULL;
  if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OOOO|OO$O:AggregatingState", (char **)(void *)keywords, &name,
                                   &functions[0], &functions[1], &functions[2], &functions[3], &dtype, &ttl))
    return NULL;
  for (int i = 0; i < 4; i++)
    if (!PyCallable_Check(functions[i]) && (i < 3 || functions[i] != Py_None)) {
      PyErr_Format(errors_class(PyType_GetModuleState(type), MARTLET_INVALID_ARGUMENT),
                   "state %R: %s=%R is not callable", name, keywords[i + 1], functions[i]);
      return NULL;
    }
  aggregating_state_object *self =
    (aggregating_state_object *)state_declare(type, MARTLET_STATE_AGGREGATING, args, kwargs, name, dtype, ttl);
  if (!self) return NULL;
  self->create = Py_NewRef(functions[0]);
  self->add = Py_NewRef(functions[1]);
  self->result = Py_NewRef(functions[2]);
  self->merge = Py_NewRef(functions[3]);
  return (PyObject *)self;
}

static int aggregating_traverse(aggregating_state_object *self, visitproc visit, void *arg) {
  Py_VISIT(self->create);
  Py_VISIT(self->add);
  Py_VISIT(self->result);
  Py_VISIT(self->merge);
  return state_traverse(&self->base, visit, arg);
}

static int aggregating_clear_references(aggregating_state_object *self) {
  Py_CLEAR(self->create);
  Py_CLEAR(self->add);
  Py_CLEAR(self->result);
  Py_CLEAR(self->merge);
  return state_tp_clear(&self->base);
}

static void aggregating_dealloc(aggregating_state_object *self) {
  PyObject_GC_UnTrack(self);
  aggregating_clear_references(self);
  state_free(&self->base);
}

static PyMethodDef aggregating_methods[] = {
  {"add", (PyCFunction)aggregating_add, METH_O, "Adds a value: the accumulator becomes add(accumulator, value)."},
  {"merge", (PyCFunction)aggregating_merge, METH_O,
   "Takes in another accumulator: merge(accumulator, other), or the other where there is none yet."},
  {"get", (PyCFunction)aggregating_get, METH_NOARGS, "result(accumulator); None when nothing was added."},
  {NULL, NULL, 0, NULL}};

static PyType_Slot aggregating_slots[] = {
  {Py_tp_doc,
   "AggregatingState(name, create, add, result, merge=None, dtype=None, *, ttl=None)\n\n"
   "An accumulator per key (Flink: AggregatingState): create() makes it for a key's first value, add(accumulator, value) "
   "returns the next one, result(accumulator) is what get() gives, merge(a, b) makes one of two. dtype is the "
   "accumulator's type, as in ValueState; without it the accumulator is any JSON-like value, stored by value."},
  {Py_tp_new, aggregating_create},
  {Py_tp_dealloc, aggregating_dealloc},
  {Py_tp_traverse, aggregating_traverse},
  {Py_tp_clear, aggregating_clear_references},
  {Py_tp_methods, aggregating_methods},
  {0, NULL}};

static PyType_Spec aggregating_spec = {.name = "martlet._engine.AggregatingState",
                                       .basicsize = sizeof(aggregating_state_object),
                                       .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE,
                                       .slots = aggregating_slots};

int state_aggregate_init(PyObject *module, engine_state *st) {
  PyTypeObject *type = state_add_kind(module, st, &aggregating_spec);
  Py_XDECREF(type);
  return type ? 0 : -1;
}
