/* `ReducingState`: one value per key that every added value is folded into. */
#include "binding.h"
#include "errors.h"
#include "items.h"
#include "keeper.h"
#include "state_value.h"

typedef struct reducing_state_object {
  state_object base;
  PyObject *reduce; /* the callable; NULL for a built-in reducer */
  int built_in;     /* martlet_reducer, also where the arithmetic is Python's: then base.reducer is MARTLET_REDUCE_CUSTOM */
} reducing_state_object;

static engine_state *engine_of(reducing_state_object *self) { return state_of((PyObject *)self); }

static int refuse(reducing_state_object *self, state_binding *binding, const char *verb, PyObject *value,
                  const char *hint) {
  PyErr_Format(engine_of(self)->state_type_error, "reducing state '%U' cannot %s a value of type %s%s", self->base.name,
               verb, Py_TYPE(value)->tp_name, hint);
  return state_locate(binding);
}

/* ---- folding ------------------------------------------------------------------------------------------ */

static int fold_natively(reducing_state_object *self, state_binding *binding, PyObject *value,
                         int32_t (*fold)(martlet_state *, const martlet_value *, martlet_error *)) {
  martlet_error error;
  item item;
  item_init(&item);
  int result = 0;
  if (self->built_in == MARTLET_REDUCE_COUNT && fold == martlet_reduce_add) item.value.integer = 1;
  else {
    result = item_from_python(engine_of(self), self->base.name, &self->base.value, "value added to state", VALUES_ANY,
                              value, &item);
    if (result < 0) state_locate(binding);
  }
  if (result == 0) result = keeper_before(&self->base, binding, KEEPER_WHOLE, NULL);
  if (result == 0) {
    int32_t status = fold(binding->handle, &item.value, &error);
    result = status == MARTLET_OK ? keeper_after(&self->base, binding, KEEPER_WHOLE, NULL)
                                  : state_failed(&self->base, binding, status, &error);
  }
  item_release(&item);
  return result;
}

/* New, or NULL. */
static PyObject *reduced(reducing_state_object *self, state_binding *binding, PyObject *old, PyObject *value) {
  if (self->reduce) {
    PyObject *result = PyObject_CallFunctionObjArgs(self->reduce, old, value, NULL);
    if (result != Py_None) return result;
    Py_DECREF(result);
    PyErr_Format(engine_of(self)->state_type_error,
                 "reducing state '%U': its function returned None; return the reduced value", self->base.name);
    state_locate(binding);
    return NULL;
  }
  if (self->built_in == MARTLET_REDUCE_SUM) return PyNumber_Add(old, value);
  int replaces = PyObject_RichCompareBool(value, old, self->built_in == MARTLET_REDUCE_MIN ? Py_LT : Py_GT);
  return replaces < 0 ? NULL : Py_NewRef(replaces ? value : old);
}

static PyObject *fold(reducing_state_object *self, PyObject *value,
                      int32_t (*natively)(martlet_state *, const martlet_value *, martlet_error *)) {
  state_binding *binding = state_bound(&self->base);
  PyObject *old = NULL, *next = NULL;
  if (!binding) return NULL;
  if (value == Py_None) {
    refuse(self, binding, natively == martlet_reduce_add ? "add" : "merge", value, "");
    return NULL;
  }
  if (self->base.reducer != MARTLET_REDUCE_CUSTOM)
    return fold_natively(self, binding, value, natively) < 0 ? NULL : Py_NewRef(Py_None);
  if (self->built_in == MARTLET_REDUCE_SUM && !self->base.value.field && !PyFloat_Check(value) &&
      (!PyLong_Check(value) || PyBool_Check(value))) {
    refuse(self, binding, "sum", value, "; it sums int and float, or reduce with a function");
    return NULL;
  }
  int found = value_get(&self->base, binding, &old);
  if (found < 0) return NULL;
  next = found ? reduced(self, binding, old, value) : Py_NewRef(value);
  /* The function may have run another job with the same declaration: look the binding up again. */
  int result = next && (binding = state_bound(&self->base)) ? value_set(&self->base, binding, next, VALUES_ANY) : -1;
  Py_XDECREF(old);
  Py_XDECREF(next);
  return result < 0 ? NULL : Py_NewRef(Py_None);
}

static PyObject *reducing_add(reducing_state_object *self, PyObject *value) {
  return fold(self, value, martlet_reduce_add);
}

static PyObject *reducing_merge(reducing_state_object *self, PyObject *value) {
  return fold(self, value, martlet_reduce_merge);
}

static PyObject *reducing_get(state_object *self, PyObject *unused) {
  (void)unused;
  PyObject *value;
  state_binding *binding = state_bound(self);
  int found = binding ? value_get(self, binding, &value) : -1;
  return found > 0 ? value : found == 0 ? Py_NewRef(Py_None) : NULL;
}

/* ---- the declaration ----------------------------------------------------------------------------------- */

static int built_in_reducer(PyObject *reduce) {
  static const char *const names[] = {"", "sum", "min", "max", "count"};
  for (int i = MARTLET_REDUCE_SUM; i <= MARTLET_REDUCE_COUNT; i++)
    if (PyUnicode_CompareWithASCIIString(reduce, names[i]) == 0) return i;
  return MARTLET_REDUCE_CUSTOM;
}

/* Whether the engine reduces, Python does with the objects' own arithmetic, or (-1) values of the type have no sum. */
static int reduces_natively(const martlet_column *field, int reducer) {
  if (!field) return 0;
  bool decimal = field->type == MARTLET_TYPE_DECIMAL128;
  if (reducer != MARTLET_REDUCE_SUM) return decimal || field->type == MARTLET_TYPE_FIXED_BINARY ? 0 : 1;
  switch (field->type) {
    case MARTLET_TYPE_INT8:
    case MARTLET_TYPE_INT16:
    case MARTLET_TYPE_INT32:
    case MARTLET_TYPE_INT64:
    case MARTLET_TYPE_UINT8:
    case MARTLET_TYPE_UINT16:
    case MARTLET_TYPE_UINT32:
    case MARTLET_TYPE_UINT64:
    case MARTLET_TYPE_FLOAT32:
    case MARTLET_TYPE_FLOAT64:
    case MARTLET_TYPE_DURATION: return 1;
    default: return decimal ? 0 : -1;
  }
}

static int read_reducer(engine_state *st, reducing_state_object *self, PyObject *reduce) {
  PyObject *config_error = errors_class(st, MARTLET_INVALID_ARGUMENT);
  if (PyCallable_Check(reduce)) {
    self->reduce = Py_NewRef(reduce);
    return 0;
  }
  self->built_in = PyUnicode_Check(reduce) ? built_in_reducer(reduce) : MARTLET_REDUCE_CUSTOM;
  if (self->built_in == MARTLET_REDUCE_CUSTOM) {
    PyErr_Format(config_error,
                 "state '%U': reduce=%R is no reducer; use a function of (old, new), 'sum', 'min', 'max' or 'count'",
                 self->base.name, reduce);
    return -1;
  }
  if (self->built_in == MARTLET_REDUCE_COUNT && (!self->base.value.field || self->base.value.field->type != MARTLET_TYPE_INT64)) {
    PyErr_Format(config_error, "state '%U': a count is an int; leave dtype out", self->base.name);
    return -1;
  }
  int natively = reduces_natively(self->base.value.field, self->built_in);
  if (natively < 0) {
    PyErr_Format(config_error, "state '%U': values of type %s have no sum; reduce with a function of (old, new)",
                 self->base.name, self->base.value.field->type_name);
    return -1;
  }
  self->base.reducer = natively ? self->built_in : MARTLET_REDUCE_CUSTOM;
  return 0;
}

static PyObject *reducing_create(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
  static const char *const keywords[] = {"name", "reduce", "dtype", "ttl", NULL};
  PyObject *name, *reduce, *dtype = Py_None, *ttl = NULL;
  if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OO|O$O:ReducingState", (char **)(void *)keywords, &name, &reduce,
                                   &dtype, &ttl))
    return NULL;
  /* A count is always an int64 slot. */
  if (dtype == Py_None && PyUnicode_Check(reduce) && built_in_reducer(reduce) == MARTLET_REDUCE_COUNT)
    dtype = (PyObject *)&PyLong_Type;
  reducing_state_object *self =
    (reducing_state_object *)state_declare(type, MARTLET_STATE_REDUCING, args, kwargs, name, dtype, ttl);
  if (self && read_reducer(PyType_GetModuleState(type), self, reduce) == 0) return (PyObject *)self;
  Py_XDECREF(self);
  return NULL;
}

static int reducing_traverse(reducing_state_object *self, visitproc visit, void *arg) {
  Py_VISIT(self->reduce);
  return state_traverse(&self->base, visit, arg);
}

static int reducing_clear_references(reducing_state_object *self) {
  Py_CLEAR(self->reduce);
  return state_tp_clear(&self->base);
}

static void reducing_dealloc(reducing_state_object *self) {
  PyObject_GC_UnTrack(self);
  Py_CLEAR(self->reduce);
  state_free(&self->base);
}

static PyMethodDef reducing_methods[] = {
  {"add", (PyCFunction)reducing_add, METH_O,
   "Folds a value in; the first is taken as it is. None is a StateTypeError, a sum out of range a ValueRangeError."},
  {"merge", (PyCFunction)reducing_merge, METH_O,
   "Folds in what another state of this kind has: a count adds it up, the others take it as one more value."},
  {"get", (PyCFunction)reducing_get, METH_NOARGS, "The value; None when nothing was added."},
  {NULL, NULL, 0, NULL}};

static PyType_Slot reducing_slots[] = {
  {Py_tp_doc,
   "ReducingState(name, reduce, dtype=None, *, ttl=None)\n\n"
   "One value per key that every added value is folded into (Flink: ReducingState). reduce: a function of (old, new), not "
   "called for the first value, or 'sum', 'min', 'max', 'count', which call no Python function. The sum of a dtype is "
   "checked for overflow; without a dtype ints have any size. dtype as in ValueState."},
  {Py_tp_new, reducing_create},
  {Py_tp_dealloc, reducing_dealloc},
  {Py_tp_traverse, reducing_traverse},
  {Py_tp_clear, reducing_clear_references},
  {Py_tp_methods, reducing_methods},
  {0, NULL}};

static PyType_Spec reducing_spec = {.name = "martlet._engine.ReducingState",
                                    .basicsize = sizeof(reducing_state_object),
                                    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE,
                                    .slots = reducing_slots};

int state_reduce_init(PyObject *module, engine_state *st) {
  PyTypeObject *type = state_add_kind(module, st, &reducing_spec);
  Py_XDECREF(type);
  return type ? 0 : -1;
}
