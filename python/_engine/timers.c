#include "timers.h"

#include "errors.h"
#include "operator.h"

static PyObject *failed(context_object *self) {
  operator_locate_error(self->operator);
  return NULL;
}

static PyObject *done(context_object *self, int32_t status, const martlet_error *error) {
  if (status == MARTLET_OK) Py_RETURN_NONE;
  errors_raise(state_of((PyObject *)self), status, error);
  return failed(self);
}

/* Epoch milliseconds. 0 or -1 with TypeError or ValueRangeError. */
static int timer_time(context_object *self, PyObject *value, int64_t *time_ms) {
  if (PyBool_Check(value) || !PyIndex_Check(value)) {
    PyErr_Format(PyExc_TypeError, "a timer's time is an int, milliseconds since the Unix epoch, got %s %R",
                 Py_TYPE(value)->tp_name, value);
    return -1;
  }
  PyObject *number = PyNumber_Index(value);
  if (!number) return -1;
  int overflow;
  *time_ms = PyLong_AsLongLongAndOverflow(number, &overflow);
  Py_DECREF(number);
  if (!overflow) return 0;
  PyErr_Format(errors_class(state_of((PyObject *)self), MARTLET_VALUE_RANGE),
               "a timer's time is outside the range of int64 milliseconds: %R", value);
  operator_locate_error(self->operator);
  return -1;
}

/* UTF-8, borrowed from `value`. NULL with TypeError. */
static const char *timer_name(PyObject *value, size_t *length) {
  if (!PyUnicode_Check(value)) {
    PyErr_Format(PyExc_TypeError, "a timer's name is a str, got %s %R", Py_TYPE(value)->tp_name, value);
    return NULL;
  }
  Py_ssize_t size;
  const char *text = PyUnicode_AsUTF8AndSize(value, &size);
  *length = (size_t)size;
  return text;
}

/* ---- registering --------------------------------------------------------------------------------------- */

static int check_on_timer(context_object *self) {
  if (!self->operator || self->operator->on_timer.call) return 0;
  PyErr_Format(errors_class(state_of((PyObject *)self), MARTLET_TIMER_LOOP),
               "operator '%U' registers a timer but its function has no on_timer method; define on_timer(key, "
               "fire_time_ms, ctx)",
               self->operator->name);
  operator_locate_error(self->operator);
  return -1;
}

/* The name= among the keywords: borrowed, NULL for none. 0 or -1 with TypeError. */
static int read_arguments(const char *what, PyObject *const *args, Py_ssize_t n, PyObject *names, PyObject **name) {
  *name = NULL;
  Py_ssize_t keywords = names ? PyTuple_GET_SIZE(names) : 0;
  if (n == 1 && keywords == 0) return 0;
  if (n == 1 && keywords == 1 && PyUnicode_CompareWithASCIIString(PyTuple_GET_ITEM(names, 0), "name") == 0) {
    if (args[1] != Py_None) *name = args[1];
    return 0;
  }
  PyErr_Format(PyExc_TypeError, "ctx.%s takes a time and, if you like, name=", what);
  return -1;
}

static PyObject *register_timer(context_object *self, PyObject *const *args, Py_ssize_t n, PyObject *names,
                                int32_t domain, const char *what,
                                int32_t (*act)(martlet_context *, int64_t, martlet_error *)) {
  PyObject *name;
  int64_t time_ms;
  martlet_error error;
  if (read_arguments(what, args, n, names, &name) < 0 || check_on_timer(self) < 0 || context_check(self, what) < 0 ||
      timer_time(self, args[0], &time_ms) < 0)
    return NULL;
  if (!name) return done(self, act(self->call, time_ms, &error), &error);
  size_t length;
  const char *text = timer_name(name, &length);
  if (!text) return NULL;
  return done(self, martlet_register_named_timer(self->call, domain, text, length, time_ms, &error), &error);
}

PyObject *timers_register_event(context_object *self, PyObject *const *args, Py_ssize_t n, PyObject *names) {
  return register_timer(self, args, n, names, MARTLET_EVENT_TIME, "register_event_time_timer()",
                        martlet_register_event_time_timer);
}

PyObject *timers_register_processing(context_object *self, PyObject *const *args, Py_ssize_t n, PyObject *names) {
  return register_timer(self, args, n, names, MARTLET_PROCESSING_TIME, "register_processing_time_timer()",
                        martlet_register_processing_time_timer);
}

/* ---- deleting ------------------------------------------------------------------------------------------ */

static PyObject *delete_timer(context_object *self, PyObject *value, const char *what,
                              int32_t (*act)(martlet_context *, int64_t, martlet_error *)) {
  int64_t time_ms;
  martlet_error error;
  if (context_check(self, what) < 0 || timer_time(self, value, &time_ms) < 0) return NULL;
  return done(self, act(self->call, time_ms, &error), &error);
}

PyObject *timers_delete_event(context_object *self, PyObject *value) {
  return delete_timer(self, value, "delete_event_time_timer()", martlet_delete_event_time_timer);
}

PyObject *timers_delete_processing(context_object *self, PyObject *value) {
  return delete_timer(self, value, "delete_processing_time_timer()", martlet_delete_processing_time_timer);
}

PyObject *timers_delete_named(context_object *self, PyObject *name) {
  size_t length;
  martlet_error error;
  if (context_check(self, "delete_timer()") < 0) return NULL;
  const char *text = timer_name(name, &length);
  if (!text) return NULL;
  return done(self, martlet_delete_named_timer(self->call, text, length, &error), &error);
}

/* ---- looking ------------------------------------------------------------------------------------------- */

PyObject *timers_pending(context_object *self, PyObject *name) {
  size_t length;
  int64_t time_ms;
  int32_t found;
  martlet_error error;
  if (context_check(self, "timer()") < 0) return NULL;
  const char *text = timer_name(name, &length);
  if (!text) return NULL;
  int32_t status = martlet_named_timer(self->call, text, length, NULL, &time_ms, &found, &error);
  if (status != MARTLET_OK) return done(self, status, &error);
  return found ? PyLong_FromLongLong(time_ms) : Py_NewRef(Py_None);
}

static PyStructSequence_Field timer_fields[] = {{"domain", "'event' or 'processing'"},
                                                {"time_ms", "when it fires, in epoch milliseconds"},
                                                {"name", "the name it was registered with, or None"},
                                                {NULL, NULL}};

static PyObject *timer_object(engine_state *st, const martlet_timer *timer) {
  PyObject *object = PyStructSequence_New(st->timer_type);
  PyObject *fields[3] = {
    PyUnicode_InternFromString(timer->domain == MARTLET_EVENT_TIME ? "event" : "processing"),
    PyLong_FromLongLong(timer->time_ms),
    timer->name ? PyUnicode_FromString(timer->name) : Py_NewRef(Py_None),
  };
  int complete = object && fields[0] && fields[1] && fields[2];
  for (int i = 0; i < 3; i++) {
    if (complete) PyStructSequence_SetItem(object, i, fields[i]);
    else Py_XDECREF(fields[i]);
  }
  if (!complete) Py_CLEAR(object);
  return object;
}

PyObject *timers_list(context_object *self, PyObject *unused) {
  (void)unused;
  engine_state *st = state_of((PyObject *)self);
  martlet_timer few[16], *timers = few;
  martlet_error error;
  int64_t n = 0;
  if (context_check(self, "timers()") < 0) return NULL;
  int32_t status = martlet_timers(self->call, timers, 16, &n, &error);
  if (status == MARTLET_OK && n > 16) {
    if (!(timers = PyMem_New(martlet_timer, (size_t)n))) return PyErr_NoMemory();
    status = martlet_timers(self->call, timers, n, &n, &error);
  }
  PyObject *list = NULL;
  if (status != MARTLET_OK) done(self, status, &error);
  else list = PyList_New((Py_ssize_t)n);
  for (int64_t i = 0; list && i < n; i++) {
    PyObject *timer = timer_object(st, &timers[i]);
    if (!timer) Py_CLEAR(list);
    else PyList_SET_ITEM(list, (Py_ssize_t)i, timer);
  }
  if (timers != few) PyMem_Free(timers);
  return list;
}

int timers_init(PyObject *module, engine_state *st) {
  PyStructSequence_Desc description = {"martlet.Timer", "A pending timer of the current key.", timer_fields, 3};
  st->timer_type = PyStructSequence_NewType(&description);
  return st->timer_type ? PyModule_AddType(module, st->timer_type) : -1;
}
