#include "context.h"

#include "emit.h"
#include "errors.h"
#include "keyed_state.h"
#include "operator.h"
#include "side.h"
#include "timers.h"

context_object *context_new(engine_state *st, operator_object *operator, PyObject *states) {
  context_object *self = (context_object *)st->context_type->tp_alloc(st->context_type, 0);
  if (!self) return NULL;
  self->operator = operator;
  self->states = Py_NewRef(states);
  self->emission.n_columns = -1;
  return self;
}

void context_end(context_object *self) {
  self->call = NULL;
  self->in_batch = 0;
  emission_end(&self->emission);
  sides_end(self);
}

static int context_traverse(context_object *self, visitproc visit, void *arg) {
  Py_VISIT(Py_TYPE(self));
  Py_VISIT(self->states);
  return 0;
}

static int context_clear(context_object *self) {
  Py_CLEAR(self->states);
  return 0;
}

static void context_dealloc(context_object *self) {
  PyObject_GC_UnTrack(self);
  context_end(self);
  context_clear(self);
  free_object((PyObject *)self);
}

/* The running call's data, or NULL with StateAccessError once the operator is closed. */
static martlet_context *call_of(context_object *self) {
  if (self->call) return self->call;
  PyErr_SetString(errors_class(state_of((PyObject *)self), MARTLET_STATE_ACCESS),
                  "ctx was used after its operator was closed; it is valid inside callbacks only");
  return NULL;
}

int context_check(context_object *self, const char *what) {
  if (self->call && self->in_batch) return 0;
  PyErr_Format(errors_class(state_of((PyObject *)self), MARTLET_STATE_ACCESS),
               "ctx.%s works inside on_event and on_timer only", what);
  operator_locate_error(self->operator);
  return -1;
}

static PyObject *context_timestamp(context_object *self, void *unused) {
  (void)unused;
  martlet_context *call = call_of(self);
  if (!call) return NULL;
  return call->timestamp == MARTLET_NO_TIMESTAMP ? Py_NewRef(Py_None) : PyLong_FromLongLong(call->timestamp);
}

static PyObject *context_watermark(context_object *self, void *unused) {
  (void)unused;
  martlet_context *call = call_of(self);
  return call ? PyLong_FromLongLong(call->watermark) : NULL;
}

static PyObject *context_processing_time(context_object *self, void *unused) {
  (void)unused;
  martlet_context *call = call_of(self);
  return call ? PyLong_FromLongLong(martlet_processing_time(call)) : NULL;
}

static PyObject *context_key(context_object *self, void *unused) {
  (void)unused;
  if (!call_of(self)) return NULL;
  PyObject *key = self->in_batch ? self->operator->key : NULL;
  return Py_NewRef(key ? key : Py_None);
}

static PyObject *context_is_late(context_object *self, void *unused) {
  (void)unused;
  martlet_context *call = call_of(self);
  return call ? PyBool_FromLong(call->is_late) : NULL;
}

static PyObject *context_timer_domain(context_object *self, void *unused) {
  (void)unused;
  martlet_context *call = call_of(self);
  if (!call) return NULL;
  switch (call->timer_domain) {
    case MARTLET_EVENT_TIME: return PyUnicode_InternFromString("event");
    case MARTLET_PROCESSING_TIME: return PyUnicode_InternFromString("processing");
    default: return Py_NewRef(Py_None);
  }
}

static PyObject *context_timer_name(context_object *self, void *unused) {
  (void)unused;
  martlet_context *call = call_of(self);
  if (!call) return NULL;
  return call->timer_name ? PyUnicode_FromString(call->timer_name) : Py_NewRef(Py_None);
}

static PyObject *context_side(context_object *self, void *unused) {
  (void)unused;
  martlet_context *call = call_of(self);
  if (!call) return NULL;
  switch (call->side) {
    case MARTLET_LEFT: return Py_NewRef(state_of((PyObject *)self)->left_str);
    case MARTLET_RIGHT: return Py_NewRef(state_of((PyObject *)self)->right_str);
    default: return Py_NewRef(Py_None);
  }
}

static PyObject *context_instance(context_object *self, void *unused) {
  (void)unused;
  martlet_context *call = call_of(self);
  return call ? PyLong_FromLong(call->instance) : NULL;
}

static PyObject *context_parallelism(context_object *self, void *unused) {
  (void)unused;
  martlet_context *call = call_of(self);
  return call ? PyLong_FromLong(call->parallelism) : NULL;
}

static PyObject *context_operator_name(context_object *self, void *unused) {
  (void)unused;
  return call_of(self) ? Py_NewRef(self->operator->name) : NULL;
}

static PyObject *context_state(context_object *self, PyObject *name) {
  PyObject *state = self->states ? PyDict_GetItemWithError(self->states, name) : NULL;
  if (state) return Py_NewRef(state);
  if (PyErr_Occurred()) return NULL;
  PyObject *names = self->states ? PyDict_Keys(self->states) : PyList_New(0);
  if (names)
    PyErr_Format(errors_class(state_of((PyObject *)self), MARTLET_STATE_ACCESS),
                 "there is no state %R; the operator's states are %R", name, names);
  Py_XDECREF(names);
  operator_locate_error(self->operator);
  return NULL;
}

static PyObject *context_repr(context_object *self) {
  return self->call ? PyUnicode_FromFormat("<Context of operator '%U'>", self->operator->name)
                    : PyUnicode_FromString("<Context, closed>");
}

static PyGetSetDef context_getset[] = {
  {"timestamp", (getter)context_timestamp, NULL,
   "Event time in epoch milliseconds: the record's, or the timer's in on_timer; None when there is none.", NULL},
  {"watermark", (getter)context_watermark, NULL,
   "The event-time watermark in epoch milliseconds; -2**63 before the first, 2**63 - 1 at the end of the input.", NULL},
  {"processing_time", (getter)context_processing_time, NULL, "The time of the job's clock now, in epoch milliseconds. In a processing-time timer that fires early because the input has "
   "ended, the time of the timer.", NULL},
  {"key", (getter)context_key, NULL, "The current key; None outside of one.", NULL},
  {"is_late", (getter)context_is_late, NULL, "Whether the record's timestamp is at or behind the watermark.", NULL},
  {"timer_domain", (getter)context_timer_domain, NULL,
   "In on_timer 'event' or 'processing'; otherwise None (Flink: OnTimerContext.timeDomain).", NULL},
  {"timer_name", (getter)context_timer_name, NULL,
   "In on_timer the name the timer was registered with, None for one without; otherwise None.", NULL},
  {"side", (getter)context_side, NULL,
   "With two inputs: which one the record comes from, 'left' or 'right'; of a broadcast, 'left' is the main stream and 'right' the "
   "broadcast. None with one input, in on_timer and on_end.", NULL},
  {"instance", (getter)context_instance, NULL, "Number of this parallel instance, from 0.", NULL},
  {"parallelism", (getter)context_parallelism, NULL, "Number of parallel instances.", NULL},
  {"operator", (getter)context_operator_name, NULL, "The operator's name.", NULL},
  {NULL, NULL, NULL, NULL, NULL}};

static PyMethodDef context_methods[] = {
  {"emit", (PyCFunction)(void (*)(void))context_emit, METH_FASTCALL | METH_KEYWORDS,
   "emit(record) · emit(**fields) · emit(dict) · emit(record, **fields) · emit(arrow_batch)\n\n"
   "Sends a record, or a whole Arrow batch, to the output. Columns without a field are null. SchemaError if it does "
   "not fit."},
  {"emit_to", (PyCFunction)(void (*)(void))context_emit_to, METH_FASTCALL | METH_KEYWORDS,
   "emit_to(tag, …)\n\n"
   "As emit(), to the side output of this tag, which has a schema of its own: declared by side_outputs={tag: schema} or "
   "inferred from the first row. Its rows are read from stream.side_output(tag); rows of a tag that nobody asked for are "
   "counted and dropped."},
  TIMER_METHODS,
  {"apply_to_keyed_state", (PyCFunction)(void (*)(void))context_apply_to_keyed_state, METH_FASTCALL,
   "apply_to_keyed_state(state, f)\n\n"
   "In on_broadcast only: calls f(key, state) for every key of this instance for which the keyed state holds something, in the "
   "order of key bytes, with that key current: its states can be read and written, and records emitted; timers cannot be used. "
   "`state` is the descriptor or its name; f is given the handle (Flink: Context.applyToKeyedState)."},
  {"state", (PyCFunction)context_state, METH_O, "The operator's state of this name."},
  {NULL, NULL, 0, NULL}};

static PyType_Slot context_slots[] = {
  {Py_tp_doc, "What a callback knows of its call, its timers and its output (Flink: KeyedProcessFunction.Context)."},
  {Py_tp_dealloc, context_dealloc},
  {Py_tp_traverse, context_traverse},
  {Py_tp_clear, context_clear},
  {Py_tp_repr, context_repr},
  {Py_tp_getset, context_getset},
  {Py_tp_methods, context_methods},
  {0, NULL}};

static PyType_Spec context_spec = {
  .name = "martlet._engine.Context",
  .basicsize = sizeof(context_object),
  .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE | Py_TPFLAGS_DISALLOW_INSTANTIATION,
  .slots = context_slots};

int context_init(PyObject *module, engine_state *st) {
  st->context_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &context_spec, NULL);
  return st->context_type ? PyModule_AddType(module, st->context_type) : -1;
}
