#include "clock.h"

#include "errors.h"

typedef struct clock_object {
  PyObject_HEAD martlet_clock *clock;
} clock_object;

static PyObject *clock_create(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
  static const char *const keywords[] = {"start_ms", NULL};
  long long start = 0;
  martlet_error error;
  if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|L", (char **)(void *)keywords, &start)) return NULL;
  clock_object *self = (clock_object *)type->tp_alloc(type, 0);
  if (!self) return NULL;
  int32_t status = martlet_clock_create(start, &self->clock, &error);
  if (status == MARTLET_OK) return (PyObject *)self;
  self->clock = NULL;
  errors_raise(PyType_GetModuleState(type), status, &error);
  Py_DECREF(self);
  return NULL;
}

static void clock_dealloc(clock_object *self) {
  martlet_clock_free(self->clock);
  free_object((PyObject *)self);
}

int clock_of(engine_state *st, PyObject *object, martlet_clock **out) {
  *out = NULL;
  if (object == Py_None) return 0;
  if (!Py_IS_TYPE(object, st->clock_type)) {
    PyErr_Format(PyExc_TypeError, "expected a ManualClock or None, got %s", Py_TYPE(object)->tp_name);
    return -1;
  }
  *out = ((clock_object *)object)->clock;
  return 0;
}

static PyObject *clock_now(clock_object *self, void *unused) {
  (void)unused;
  return PyLong_FromLongLong(martlet_clock_now(self->clock));
}

static PyObject *clock_advance_to(clock_object *self, PyObject *time) {
  martlet_error error;
  long long time_ms = PyLong_AsLongLong(time);
  if (time_ms == -1 && PyErr_Occurred()) return NULL;
  int32_t status = martlet_clock_advance(self->clock, time_ms, &error);
  if (status == MARTLET_OK) Py_RETURN_NONE;
  errors_raise(state_of((PyObject *)self), status, &error);
  return NULL;
}

static PyObject *clock_repr(clock_object *self) {
  return PyUnicode_FromFormat("ManualClock(%lld)", (long long)martlet_clock_now(self->clock));
}

static PyGetSetDef clock_getset[] = {{"now", (getter)clock_now, NULL, "The time it shows, in epoch milliseconds.", NULL},
                                     {NULL, NULL, NULL, NULL, NULL}};

static PyMethodDef clock_methods[] = {
  {"advance_to", (PyCFunction)clock_advance_to, METH_O,
   "advance_to(time_ms): sets the clock, in epoch milliseconds. ConfigError for a time before the one it shows."},
  {NULL, NULL, 0, NULL}};

static PyType_Slot clock_slots[] = {
  {Py_tp_doc,
   "ManualClock(start_ms=0): processing time that stands still until advance_to() is called; for Config(clock=…).\n\n"
   "It may be moved from inside callbacks, from a source, or from another thread."},
  {Py_tp_new, clock_create},
  {Py_tp_dealloc, clock_dealloc},
  {Py_tp_repr, clock_repr},
  {Py_tp_getset, clock_getset},
  {Py_tp_methods, clock_methods},
  {0, NULL}};

static PyType_Spec clock_spec = {.name = "martlet._engine.ManualClock",
                                 .basicsize = sizeof(clock_object),
                                 .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
                                 .slots = clock_slots};

int clock_init(PyObject *module, engine_state *st) {
  st->clock_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &clock_spec, NULL);
  return st->clock_type ? PyModule_AddType(module, st->clock_type) : -1;
}
