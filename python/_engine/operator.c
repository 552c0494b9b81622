#include "operator.h"

#include "binding.h"
#include "decimals.h"
#include "errors.h"
#include "failures.h"
#include "job.h"
#include "keys.h"
#include "side.h"
#include "slices.h"
#include "temporal.h"

/* ---- keys -------------------------------------------------------------------------------------------- */

static PyObject *key_part(engine_state *st, const martlet_key_part *part) {
  const martlet_column *field = part->field;
  switch (part->kind) {
    case MARTLET_KEY_INTEGER:
      switch (field->type) {
        case MARTLET_TYPE_BOOL: return PyBool_FromLong(part->integer != 0);
        case MARTLET_TYPE_DATE64:
        case MARTLET_TYPE_DATE32:
        case MARTLET_TYPE_TIME32:
        case MARTLET_TYPE_TIME64:
        case MARTLET_TYPE_TIMESTAMP:
        case MARTLET_TYPE_DURATION: return temporal_to_python(st, field, part->integer);
        default: return PyLong_FromLongLong(part->integer);
      }
    case MARTLET_KEY_UNSIGNED: return PyLong_FromUnsignedLongLong((uint64_t)part->integer);
    case MARTLET_KEY_DECIMAL: return decimal_to_python(st, part->bytes, (int32_t)part->length, field->scale);
    default:
      switch (field->type) {
        case MARTLET_TYPE_UTF8:
        case MARTLET_TYPE_LARGE_UTF8:
        case MARTLET_TYPE_UTF8_VIEW:
          return PyUnicode_DecodeUTF8((const char *)part->bytes, (Py_ssize_t)part->length, NULL);
        default: return PyBytes_FromStringAndSize((const char *)part->bytes, (Py_ssize_t)part->length);
      }
  }
}

/* Whether the key object of the last call is also this call's. By value: a slot may have been given to another key
 * meanwhile. */
static bool same_key(const operator_object *self, const martlet_context *call) {
  const martlet_key_part *part = call->key;
  if (!self->key || self->key == Py_None || call->key_parts != 1) return false;
  switch (part->kind) {
    case MARTLET_KEY_INTEGER:
    case MARTLET_KEY_UNSIGNED: return part->integer == self->key_integer;
    case MARTLET_KEY_BYTES:
      if (PyUnicode_CheckExact(self->key) && PyUnicode_IS_COMPACT_ASCII(self->key))
        return PyUnicode_GET_LENGTH(self->key) == part->length &&
               !memcmp(PyUnicode_DATA(self->key), part->bytes, (size_t)part->length);
      return false;
    default: return false;
  }
}

int operator_read_key(operator_object *self, const martlet_context *call) {
  if (call->slot == MARTLET_NO_SLOT) {
    Py_XSETREF(self->key, Py_NewRef(Py_None));
    return 0;
  }
  PyObject *key;
  if (keys_cached(self, call, &key)) {
    if (!key && !(key = keys_add(self, call, key_part(self->st, call->key)))) return -1;
    Py_XSETREF(self->key, Py_NewRef(key));
    self->key_integer = call->key->integer;
    return 0;
  }
  if (same_key(self, call)) return 0;
  if (call->key_parts == 1) key = key_part(self->st, call->key);
  else {
    key = PyTuple_New((Py_ssize_t)call->key_parts);
    for (int64_t i = 0; key && i < call->key_parts; i++) {
      PyObject *part = key_part(self->st, &call->key[i]);
      if (!part) Py_CLEAR(key);
      else PyTuple_SET_ITEM(key, (Py_ssize_t)i, part);
    }
  }
  Py_XSETREF(self->key, key);
  if (!key) return -1;
  self->key_integer = call->key->integer;
  return 0;
}

/* ---- failures ---------------------------------------------------------------------------------------- */

const char *operator_side_word(const operator_object *self, const martlet_context *call) {
  if (call->side == MARTLET_RIGHT) return self->kind == MARTLET_BROADCAST ? "broadcast " : "right ";
  return call->side == MARTLET_LEFT && self->kind == MARTLET_CONNECT ? "left " : "";
}

static PyObject *place_note(operator_object *self, const martlet_context *call, const char *method) {
  bool has_key = self->key && self->key != Py_None;
  PyObject *key = has_key ? errors_preview(self->key) : NULL, *note;
  if (!method) {
    if (call->timer_domain)
      note = PyUnicode_FromFormat("in operator '%U', timer at %lld, key %V", self->name, (long long)call->fire_time,
                                  key, "?");
    else if (call->rows > 1)
      note = PyUnicode_FromFormat("in operator '%U', %srecords %lld to %lld, key %V", self->name, operator_side_word(self, call),
                                  (long long)call->record, (long long)(call->record + call->rows - 1), key, "?");
    else if (call->record >= 0 && !has_key)
      note = PyUnicode_FromFormat("in operator '%U', %srecord %lld", self->name, operator_side_word(self, call),
                                  (long long)call->record);
    else if (call->record >= 0)
      note = PyUnicode_FromFormat("in operator '%U', %srecord %lld, key %V", self->name, operator_side_word(self, call),
                                  (long long)call->record, key, "?");
    else note = PyUnicode_FromFormat("in operator '%U', on_end(), key %V", self->name, key, "?");
  } else note = PyUnicode_FromFormat("in operator '%U', %s()", self->name, method);
  Py_XDECREF(key);
  return note;
}

void operator_locate_error(operator_object *self) {
  if (!self || !PyErr_ExceptionMatches(self->st->martlet_error)) return;
  PyObject *exception = errors_take();
  const martlet_context *call = self->context->call;
  bool in_call = call && self->context->in_batch;
  PyObject *record = in_call && call->record >= 0 ? PyLong_FromLongLong(call->record) : NULL;
  PyObject *key = in_call && self->key && self->key != Py_None ? errors_preview(self->key) : NULL;
  errors_restore(exception);
  errors_locate(self->st, self->name, record, key);
  Py_XDECREF(record);
  Py_XDECREF(key);
}

/* A MartletError shows its place by itself, every other exception gets a note. */
int32_t operator_fail(operator_object *self, const martlet_context *call, const char *method, martlet_error *error) {
  operator_locate_error(self);
  if (!PyErr_ExceptionMatches(self->st->martlet_error)) {
    PyObject *exception = errors_take();
    errors_add_note(exception, place_note(self, call, method));
    errors_restore(exception);
  }
  /* What asks the program to stop, or leaves it without memory, is no matter of one record. */
  bool fatal = !PyErr_ExceptionMatches(PyExc_Exception) || PyErr_ExceptionMatches(PyExc_MemoryError);
  if (self->job->on_failure) sides_forget_columns(self->context);
  int32_t status = job_fail(self->job, error);
  return fatal ? MARTLET_CALLBACK_FATAL : status;
}

/* ---- callbacks --------------------------------------------------------------------------------------- */

/* open(ctx) and close(): outside of batches, so they take and give back the GIL themselves. */
static int32_t call_outside(operator_object *self, const martlet_context *call, const operator_method *method,
                            bool with_context, const char *name, martlet_error *error) {
  if (!method->call) return MARTLET_OK;
  PyObject *arguments[3] = {NULL, self->target, (PyObject *)self->context};
  PyObject *const *from = method->takes_self ? arguments + 1 : arguments + 2;
  size_t n = (size_t)method->takes_self + (with_context ? 1 : 0);
  PyObject *result = PyObject_Vectorcall(method->call, from, n | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL);
  if (!result) return operator_fail(self, call, name, error);
  Py_DECREF(result);
  return MARTLET_OK;
}

static int32_t on_open(void *context, martlet_context *call, martlet_error *error) {
  operator_object *self = context;
  job_enter(self->job);
  for (Py_ssize_t i = 0; i < self->n_states; i++)
    self->bindings[i] = (state_binding){martlet_context_state(call, self->indices[i]), self};
  self->context->emission.output = martlet_context_output(call);
  if (self->parallelism) {
    call->instance = self->instance;
    call->parallelism = self->parallelism;
  }
  self->context->call = call;
  int32_t status = call_outside(self, call, &self->open, true, "open", error);
  job_leave(self->job);
  return status;
}

static int32_t on_close(void *context, martlet_context *call, martlet_error *error) {
  operator_object *self = context;
  job_enter(self->job);
  int32_t status = call_outside(self, call, &self->close, false, "close", error);
  context_end(self->context);
  for (int side = 0; side < 2; side++) {
    Py_CLEAR(self->inputs[side].record);
    Py_CLEAR(self->inputs[side].slice);
  }
  Py_CLEAR(self->failure);
  Py_CLEAR(self->key);
  keys_forget(self);
  job_leave(self->job);
  return status;
}

static void unbind_states(operator_object *self, Py_ssize_t n) {
  while (n-- > 0) state_unbind(self->states[n], self->previous[n]);
}

static int32_t on_batch_begin(void *context, martlet_context *call, const martlet_batch *batch, martlet_error *error) {
  operator_object *self = context;
  (void)call;
  (void)batch;
  job_enter(self->job);
  Py_ssize_t bound = 0;
  if (PyErr_CheckSignals() < 0) goto failed;
  for (; bound < self->n_states; bound++)
    if (state_bind(self->states[bound], self->bindings[bound], &self->previous[bound]) < 0) goto failed;
  if (job_tick(self->job) < 0) goto failed;
  self->context->in_batch = 1;
  self->entered = 1;
  return MARTLET_OK;
failed:
  unbind_states(self, bound);
  int32_t status = job_fail(self->job, error);
  job_leave(self->job);
  return status;
}

static void on_batch_end(void *context, martlet_context *call) {
  operator_object *self = context;
  (void)call;
  if (!self->entered) return;
  self->entered = 0;
  self->context->in_batch = 0;
  unbind_states(self, self->n_states);
  job_leave(self->job);
}

/* The view for this call: the one of the last call moved on, if the user did not keep it. */
static record_object *record_for(operator_object *self, operator_input *input, const martlet_context *call) {
  record_object *record = input->record;
  if (record && record->rows.batch == call->batch) {
    record->rows.offset = call->row;
    return record;
  }
  Py_CLEAR(input->record);
  record = record_new(self->st, call->batch, call->row, input->names, input->index);
  if (!record) return NULL;
  Py_XSETREF(input->names, Py_NewRef(record->rows.names));
  Py_XSETREF(input->index, Py_NewRef(record->rows.index));
  return input->record = record;
}

static inline int32_t call_record(operator_object *self, const operator_method *method, martlet_context *call,
                                  martlet_error *error) {
  operator_input *input = operator_input_of(self, call);
  record_object *record = operator_read_key(self, call) < 0 ? NULL : record_for(self, input, call);
  if (!record) return operator_fail(self, call, NULL, error);
  PyObject *arguments[6] = {
    NULL, self->target, self->key, (PyObject *)record, self->st->zero, (PyObject *)self->context};
  size_t skip = method->takes_self ? 1 : 2;
  PyObject *result =
    PyObject_Vectorcall(method->call, arguments + skip, (6 - skip) | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL);
  if (!result) {
    int32_t status = operator_fail(self, call, NULL, error);
    Py_CLEAR(input->record);
    return status;
  }
  Py_DECREF(result);
  /* Kept: it stays as it is, and belongs to the user now. */
  if (Py_REFCNT(record) != 1) Py_CLEAR(input->record);
  return MARTLET_OK;
}

static int32_t on_event(void *context, martlet_context *call, martlet_error *error) {
  operator_object *self = context;
  return call_record(self, &self->on_event, call, error);
}

static int32_t on_right(void *context, martlet_context *call, martlet_error *error) {
  operator_object *self = context;
  return call_record(self, &self->on_right, call, error);
}

static int32_t on_timer(void *context, martlet_context *call, martlet_error *error) {
  operator_object *self = context;
  PyObject *time = operator_read_key(self, call) < 0 ? NULL : PyLong_FromLongLong(call->fire_time);
  if (!time) return operator_fail(self, call, NULL, error);
  PyObject *arguments[5] = {NULL, self->target, self->key, time, (PyObject *)self->context};
  size_t skip = self->on_timer.takes_self ? 1 : 2;
  PyObject *result =
    PyObject_Vectorcall(self->on_timer.call, arguments + skip, (5 - skip) | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL);
  Py_DECREF(time);
  if (!result) return operator_fail(self, call, NULL, error);
  Py_DECREF(result);
  return MARTLET_OK;
}

static int32_t on_end(void *context, martlet_context *call, martlet_error *error) {
  operator_object *self = context;
  if (operator_read_key(self, call) < 0) return operator_fail(self, call, NULL, error);
  PyObject *arguments[4] = {NULL, self->target, self->key, (PyObject *)self->context};
  size_t skip = self->on_end.takes_self ? 1 : 2;
  PyObject *result =
    PyObject_Vectorcall(self->on_end.call, arguments + skip, (4 - skip) | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL);
  if (!result) return operator_fail(self, call, NULL, error);
  Py_DECREF(result);
  return MARTLET_OK;
}

/* The job owns the operator and outlives the engine's use of it. */
static void on_destroy(void *context) { (void)context; }

martlet_process_function operator_callbacks(operator_object *self) {
  return (martlet_process_function){
    .struct_size = sizeof(martlet_process_function),
    .context = self,
    .open = on_open,
    .batch_begin = on_batch_begin,
    .on_event = self->on_event.call ? on_event : NULL,
    .on_timer = self->on_timer.call ? on_timer : NULL,
    .batch_end = on_batch_end,
    .close = on_close,
    .destroy = on_destroy,
    .on_batch = self->on_batch.call ? on_batch : NULL,
    .on_failure = on_failure,
    .on_end = self->on_end.call ? on_end : NULL,
    .on_right = self->on_right.call ? on_right : NULL,
  };
}

/* ---- the object -------------------------------------------------------------------------------------- */

static int read_method(PyObject *methods, Py_ssize_t i, operator_method *out) {
  PyObject *callable;
  int takes_self;
  if (!PyArg_ParseTuple(PyTuple_GET_ITEM(methods, i), "Op", &callable, &takes_self)) return -1;
  out->call = callable == Py_None ? NULL : Py_NewRef(callable);
  out->takes_self = takes_self;
  return 0;
}

/* One more handle to the engine's state `index`. 0 or -1. */
static int add_state(operator_object *self, PyObject *state, Py_ssize_t index) {
  if (!PyObject_TypeCheck(state, self->st->state_type)) {
    PyErr_Format(PyExc_TypeError, "expected a state, got %s", Py_TYPE(state)->tp_name);
    return -1;
  }
  self->indices[self->n_states] = index;
  self->states[self->n_states++] = (state_object *)Py_NewRef(state);
  return 0;
}

operator_object *operator_new(engine_state *st, job_object *job, int32_t kind, PyObject *name, PyObject *target,
                              PyObject *methods, PyObject *states, PyObject *aliases) {
  operator_object *self = (operator_object *)st->operator_type->tp_alloc(st->operator_type, 0);
  if (!self) return NULL;
  Py_ssize_t n = PyTuple_GET_SIZE(states), n_aliases = PyTuple_GET_SIZE(aliases);
  self->st = st;
  self->kind = kind;
  self->job = job;
  self->name = Py_NewRef(name);
  self->target = Py_NewRef(target);
  size_t room = (size_t)n + (size_t)n_aliases + 1;
  self->states = PyMem_Calloc(room, sizeof *self->states);
  self->indices = PyMem_Calloc(room, sizeof *self->indices);
  self->bindings = PyMem_Calloc(room, sizeof *self->bindings);
  self->previous = PyMem_Calloc(room, sizeof *self->previous);
  PyObject *by_name = PyDict_New();
  if (!self->states || !self->indices || !self->bindings || !self->previous || !by_name) {
    PyErr_NoMemory();
    goto failed;
  }
  for (Py_ssize_t i = 0; i < n; i++) {
    PyObject *state = PyTuple_GET_ITEM(states, i);
    if (add_state(self, state, i) < 0 || PyDict_SetItem(by_name, self->states[i]->name, state) < 0) goto failed;
  }
  for (Py_ssize_t i = 0; i < n_aliases; i++) {
    PyObject *state;
    Py_ssize_t index;
    if (!PyArg_ParseTuple(PyTuple_GET_ITEM(aliases, i), "On", &state, &index) || add_state(self, state, index) < 0)
      goto failed;
  }
  if (read_method(methods, 0, &self->open) < 0 || read_method(methods, 1, &self->on_event) < 0 ||
      read_method(methods, 2, &self->on_timer) < 0 || read_method(methods, 3, &self->close) < 0 ||
      read_method(methods, 4, &self->on_end) < 0 || read_method(methods, 5, &self->on_batch) < 0 ||
      read_method(methods, 6, &self->on_right) < 0)
    goto failed;
  if (!(self->context = context_new(st, self, by_name))) goto failed;
  Py_DECREF(by_name);
  return self;
failed:
  Py_XDECREF(by_name);
  Py_DECREF(self);
  return NULL;
}

static int operator_traverse(operator_object *self, visitproc visit, void *arg) {
  Py_VISIT(Py_TYPE(self));
  Py_VISIT(self->target);
  Py_VISIT(self->open.call);
  Py_VISIT(self->on_event.call);
  Py_VISIT(self->on_timer.call);
  Py_VISIT(self->on_batch.call);
  Py_VISIT(self->on_right.call);
  Py_VISIT(self->close.call);
  Py_VISIT(self->on_end.call);
  for (Py_ssize_t i = 0; i < self->n_states; i++) Py_VISIT(self->states[i]);
  Py_VISIT(self->context);
  Py_VISIT(self->key);
  Py_VISIT(self->keeper);
  return 0;
}

/* No tp_clear: the callbacks use these fields until the job has freed the engine job, which is what breaks a cycle. */
static void operator_dealloc(operator_object *self) {
  PyObject_GC_UnTrack(self);
  if (self->context) {
    context_end(self->context);
    self->context->operator = NULL;
  }
  for (Py_ssize_t i = 0; i < self->n_states; i++) Py_DECREF(self->states[i]);
  PyMem_Free(self->states);
  PyMem_Free(self->indices);
  PyMem_Free(self->bindings);
  PyMem_Free(self->previous);
  Py_XDECREF(self->open.call);
  Py_XDECREF(self->on_event.call);
  Py_XDECREF(self->on_timer.call);
  Py_XDECREF(self->on_batch.call);
  Py_XDECREF(self->on_right.call);
  Py_XDECREF(self->close.call);
  Py_XDECREF(self->on_end.call);
  Py_XDECREF(self->context);
  for (int side = 0; side < 2; side++) {
    Py_XDECREF(self->inputs[side].record);
    Py_XDECREF(self->inputs[side].slice);
    Py_XDECREF(self->inputs[side].names);
    Py_XDECREF(self->inputs[side].index);
  }
  Py_XDECREF(self->failure);
  Py_XDECREF(self->key);
  Py_XDECREF(self->keeper);
  keys_forget(self);
  Py_XDECREF(self->target);
  Py_XDECREF(self->name);
  free_object((PyObject *)self);
}

static PyType_Slot operator_slots[] = {
  {Py_tp_dealloc, operator_dealloc}, {Py_tp_traverse, operator_traverse}, {0, NULL}};

static PyType_Spec operator_spec = {
  .name = "martlet._engine.Operator",
  .basicsize = sizeof(operator_object),
  .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE | Py_TPFLAGS_DISALLOW_INSTANTIATION,
  .slots = operator_slots};

int operator_init(PyObject *module, engine_state *st) {
  st->operator_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &operator_spec, NULL);
  return st->operator_type ? 0 : -1;
}
