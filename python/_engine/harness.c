#include "harness.h"

#include "batch.h"
#include "errors.h"
#include "job.h"
#include "keeper.h"
#include "operator.h"
#include "schema.h"

/* The engine's harness takes the function out of its job; the job object stays as what the function's callbacks report to. */
typedef struct harness_object {
  PyObject_HEAD martlet_harness *harness; /* NULL once freed */
  job_object *job;
  operator_object *operator; /* borrowed from the job */
} harness_object;

static int check_usable(harness_object *self) {
  if (!self->job) {
    PyErr_SetString(errors_class(state_of((PyObject *)self), MARTLET_CLOSED), "the harness is gone");
    return -1;
  }
  return job_check_usable(self->job);
}

/* After an engine call that ran callbacks: None or the callback's exception. */
static PyObject *finished(harness_object *self, int32_t status, const martlet_error *error) {
  self->job->running = 0;
  if (status == MARTLET_OK) Py_RETURN_NONE;
  job_raise(self->job, status, error);
  return NULL;
}

static PyObject *harness_create(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
  static const char *const keywords[] = {"job", "timestamp", "max_out_of_orderness", "right_timestamp", NULL};
  engine_state *st = PyType_GetModuleState(type);
  job_object *job;
  long long bound;
  martlet_harness_options options = {.struct_size = sizeof options};
  martlet_error error;
  if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O!zL|z", (char **)(void *)keywords, st->job_type, &job,
                                   &options.timestamp, &bound, &options.right_timestamp) ||
      job_check_usable(job) < 0)
    return NULL;
  options.max_out_of_orderness = bound;
  harness_object *self = (harness_object *)type->tp_alloc(type, 0);
  if (!self) return NULL;
  self->job = (job_object *)Py_NewRef(job);
  for (Py_ssize_t i = 0; i < PyList_GET_SIZE(job->parts); i++) {
    PyObject *part = PyList_GET_ITEM(job->parts, i);
    if (Py_IS_TYPE(part, st->operator_type)) self->operator = (operator_object *) part;
  }
  int32_t status = martlet_harness_create(job->job, &options, &self->harness, &error);
  if (status == MARTLET_OK) return (PyObject *)self;
  self->harness = NULL;
  errors_raise(st, status, &error);
  Py_DECREF(self);
  return NULL;
}

/* ---- input ------------------------------------------------------------------------------------------- */

/* Everything that is about one input takes a `side`, a martlet_side: MARTLET_NO_SIDE for the one input, or all of them. */

static PyObject *harness_open(harness_object *self, PyObject *args) {
  PyObject *schema;
  int side = MARTLET_NO_SIDE;
  struct ArrowSchema moved;
  martlet_error error;
  if (check_usable(self) < 0 || !PyArg_ParseTuple(args, "O|i", &schema, &side) ||
      schema_from_python(state_of((PyObject *)self), schema, &moved) < 0)
    return NULL;
  self->job->running = 1;
  int32_t status = side == MARTLET_NO_SIDE ? martlet_harness_open(self->harness, &moved, &error)
                                           : martlet_harness_open_input(self->harness, side, &moved, &error);
  return finished(self, status, &error);
}

/* push(batch, row, has_time, timestamp or None, side) */
static PyObject *harness_push(harness_object *self, PyObject *args) {
  batch_object *batch;
  long long row;
  int has_time, side = MARTLET_NO_SIDE;
  PyObject *timestamp;
  martlet_error error;
  int64_t time_ms = MARTLET_NO_TIMESTAMP;
  if (check_usable(self) < 0 || !PyArg_ParseTuple(args, "O!LpO|i", state_of((PyObject *)self)->batch_type, &batch, &row,
                                                  &has_time, &timestamp, &side))
    return NULL;
  if (timestamp != Py_None) {
    time_ms = PyLong_AsLongLong(timestamp);
    if (time_ms == -1 && PyErr_Occurred()) return NULL;
  }
  self->job->running = 1;
  int32_t kind = has_time ? MARTLET_TIME_GIVEN : MARTLET_TIME_OF_COLUMN;
  int64_t at = batch->rows.offset + row;
  int32_t status = side == MARTLET_NO_SIDE
                     ? martlet_harness_push(self->harness, batch->rows.batch, at, kind, time_ms, &error)
                     : martlet_harness_push_to(self->harness, side, batch->rows.batch, at, kind, time_ms, &error);
  return finished(self, status, &error);
}

static PyObject *harness_advance_watermark(harness_object *self, PyObject *args) {
  long long time_ms;
  int side = MARTLET_NO_SIDE;
  martlet_error error;
  if (!PyArg_ParseTuple(args, "L|i", &time_ms, &side) || check_usable(self) < 0) return NULL;
  self->job->running = 1;
  int32_t status = side == MARTLET_NO_SIDE ? martlet_harness_advance_watermark(self->harness, time_ms, &error)
                                           : martlet_harness_advance_input(self->harness, side, time_ms, &error);
  return finished(self, status, &error);
}

static PyObject *harness_advance_processing_time(harness_object *self, PyObject *time) {
  martlet_error error;
  long long time_ms = PyLong_AsLongLong(time);
  if ((time_ms == -1 && PyErr_Occurred()) || check_usable(self) < 0) return NULL;
  self->job->running = 1;
  return finished(self, martlet_harness_advance_processing_time(self->harness, time_ms, &error), &error);
}

static PyObject *harness_set_idle(harness_object *self, PyObject *args) {
  int side, idle;
  martlet_error error;
  if (!PyArg_ParseTuple(args, "ip", &side, &idle) || check_usable(self) < 0) return NULL;
  self->job->running = 1;
  return finished(self, martlet_harness_set_idle(self->harness, side, idle, &error), &error);
}

static PyObject *act(harness_object *self, int32_t (*call)(martlet_harness *, martlet_error *)) {
  martlet_error error;
  if (check_usable(self) < 0) return NULL;
  self->job->running = 1;
  return finished(self, call(self->harness, &error), &error);
}

static PyObject *harness_end(harness_object *self, PyObject *args) {
  int side = MARTLET_NO_SIDE;
  martlet_error error;
  if (!PyArg_ParseTuple(args, "|i", &side)) return NULL;
  if (side == MARTLET_NO_SIDE) return act(self, martlet_harness_end);
  if (check_usable(self) < 0) return NULL;
  self->job->running = 1;
  return finished(self, martlet_harness_end_input(self->harness, side, &error), &error);
}

/* fire_due(watermark): what event-time timers see as the watermark, if it is behind the present one. */
static PyObject *harness_fire_due(harness_object *self, PyObject *watermark) {
  martlet_error error;
  long long time_ms = PyLong_AsLongLong(watermark);
  if ((time_ms == -1 && PyErr_Occurred()) || check_usable(self) < 0) return NULL;
  self->job->running = 1;
  return finished(self, martlet_harness_fire_due_seeing(self->harness, time_ms, &error), &error);
}

static PyObject *harness_close(harness_object *self, PyObject *unused) {
  (void)unused;
  return act(self, martlet_harness_close);
}

/* ---- looking at it ------------------------------------------------------------------------------------- */

static PyObject *harness_take(harness_object *self, PyObject *args) {
  const char *tag;
  martlet_batch *batch;
  const int64_t *times;
  martlet_error error;
  if (check_usable(self) < 0 || !PyArg_ParseTuple(args, "z", &tag)) return NULL;
  int32_t status = martlet_harness_take(self->harness, tag, &batch, &times, &error);
  if (status != MARTLET_OK) return finished(self, status, &error);
  if (!batch) Py_RETURN_NONE;
  Py_ssize_t rows = (Py_ssize_t)martlet_batch_num_rows(batch);
  PyObject *result = batch_new(state_of((PyObject *)self), batch, NULL), *list = PyList_New(rows);
  for (Py_ssize_t i = 0; list && i < rows; i++) {
    PyObject *time =
      times[i] == MARTLET_NO_TIMESTAMP ? Py_NewRef(Py_None) : PyLong_FromLongLong((long long)times[i]);
    if (!time) Py_CLEAR(list);
    else PyList_SET_ITEM(list, i, time);
  }
  PyObject *pair = result && list ? PyTuple_Pack(2, result, list) : NULL;
  Py_XDECREF(result);
  Py_XDECREF(list);
  return pair;
}

static PyObject *found_schema(harness_object *self, struct ArrowSchema *schema, int32_t status,
                              const martlet_error *error) {
  if (status != MARTLET_OK) return finished(self, status, error);
  return schema->release ? schema_new(state_of((PyObject *)self), schema) : Py_NewRef(Py_None);
}

static PyObject *harness_schema(harness_object *self, PyObject *args) {
  struct ArrowSchema schema;
  martlet_error error;
  int side = MARTLET_NO_SIDE;
  if (!PyArg_ParseTuple(args, "|i", &side) || check_usable(self) < 0) return NULL;
  int32_t status = side == MARTLET_NO_SIDE ? martlet_harness_schema(self->harness, &schema, &error)
                                           : martlet_harness_schema_of(self->harness, side, &schema, &error);
  return found_schema(self, &schema, status, &error);
}

static PyObject *harness_key_schema(harness_object *self, PyObject *unused) {
  struct ArrowSchema schema;
  martlet_error error;
  (void)unused;
  if (check_usable(self) < 0) return NULL;
  int32_t status = martlet_harness_key_schema(self->harness, &schema, &error);
  return found_schema(self, &schema, status, &error);
}

/* inspect(key, body): body(ctx) with that key current; None, without a call, for a key that holds nothing. With key None no key
 * is current. */
static PyObject *harness_inspect(harness_object *self, PyObject *args) {
  PyObject *key, *body, *result = NULL;
  int32_t found = 1, status = MARTLET_OK;
  martlet_error error;
  if (check_usable(self) < 0 || !PyArg_ParseTuple(args, "OO", &key, &body)) return NULL;
  if (key != Py_None) {
    if (!Py_IS_TYPE(key, state_of((PyObject *)self)->batch_type)) {
      PyErr_SetString(PyExc_TypeError, "the key is a RecordBatch or None");
      return NULL;
    }
    status = martlet_harness_select(self->harness, ((batch_object *)key)->rows.batch, &found, &error);
  }
  if (status != MARTLET_OK) return finished(self, status, &error);
  if (!found || !self->operator->context->call) Py_RETURN_NONE; /* it holds nothing, or nothing was opened */
  self->job->running = 1;
  martlet_process_function callbacks = operator_callbacks(self->operator);
  martlet_context *call = self->operator->context->call;
  status = callbacks.batch_begin(callbacks.context, call, NULL, &error);
  if (status == MARTLET_OK) {
    result = PyObject_CallOneArg(body, (PyObject *)self->operator->context);
    callbacks.batch_end(callbacks.context, call);
  } else job_raise(self->job, status, &error);
  self->job->running = 0;
  PyObject *exception = result ? NULL : errors_take();
  martlet_harness_select(self->harness, NULL, NULL, NULL);
  if (exception) errors_restore(exception);
  return result;
}

/* keep(keeper): states of the current key are loaded and stored by this object from now on; see keeper.h. */
static PyObject *harness_keep(harness_object *self, PyObject *keeper) {
  if (check_usable(self) < 0) return NULL;
  keeper_set(self->operator, keeper);
  Py_RETURN_NONE;
}

/* place(instance, parallelism): what ctx says of them. Before open. */
static PyObject *harness_place(harness_object *self, PyObject *args) {
  if (check_usable(self) < 0 ||
      !PyArg_ParseTuple(args, "ii", &self->operator->instance, &self->operator->parallelism))
    return NULL;
  Py_RETURN_NONE;
}

/* ---- snapshots ------------------------------------------------------------------------------------------ */

static PyObject *harness_snapshot(harness_object *self, PyObject *unused) {
  (void)unused;
  const uint8_t *bytes;
  size_t length;
  martlet_error error;
  if (check_usable(self) < 0) return NULL;
  int32_t status = martlet_harness_snapshot(self->harness, &bytes, &length, &error);
  if (status != MARTLET_OK) return finished(self, status, &error);
  return PyBytes_FromStringAndSize((const char *)bytes, (Py_ssize_t)length);
}

/* restore(bytes, forget: tuple of str, first_group, n_groups, max_parallelism) */
static PyObject *harness_restore(harness_object *self, PyObject *args) {
  Py_buffer bytes;
  PyObject *forget;
  martlet_restore_options options = {.struct_size = sizeof options};
  martlet_error error;
  if (check_usable(self) < 0 || !PyArg_ParseTuple(args, "y*O!iii", &bytes, &PyTuple_Type, &forget, &options.first_group,
                                                  &options.n_groups, &options.max_parallelism))
    return NULL;
  Py_ssize_t n = PyTuple_GET_SIZE(forget);
  const char **names = PyMem_Calloc((size_t)n + 1, sizeof *names);
  PyObject *result = NULL;
  if (!names) PyErr_NoMemory();
  for (Py_ssize_t i = 0; names && i < n; i++)
    if (!(names[i] = PyUnicode_AsUTF8(PyTuple_GET_ITEM(forget, i)))) goto done;
  if (names) {
    options.forget = names;
    options.n_forget = n;
    self->job->running = 1;
    int32_t status =
      martlet_harness_restore(self->harness, bytes.buf ? bytes.buf : "", (size_t)bytes.len, &options, &error);
    result = finished(self, status, &error);
  }
done:
  PyMem_Free((void *)names);
  PyBuffer_Release(&bytes);
  return result;
}

/* ---- the object ----------------------------------------------------------------------------------------- */

static PyObject *harness_watermark(harness_object *self, void *unused) {
  (void)unused;
  return PyLong_FromLongLong(self->harness ? martlet_harness_watermark(self->harness) : MARTLET_MIN_TIME);
}

static PyObject *harness_processing_time(harness_object *self, void *unused) {
  (void)unused;
  return PyLong_FromLongLong(self->harness ? martlet_harness_processing_time(self->harness) : 0);
}

static int harness_traverse(harness_object *self, visitproc visit, void *arg) {
  Py_VISIT(Py_TYPE(self));
  Py_VISIT(self->job);
  return 0;
}

/* The engine's harness goes first: its function belongs to the job. */
static int harness_clear(harness_object *self) {
  martlet_harness *harness = self->harness;
  if (harness) {
    PyObject *exception = errors_take();
    martlet_error error;
    self->job->running = 1;
    int32_t status = martlet_harness_close(harness, &error);
    self->job->running = 0;
    if (status != MARTLET_OK) {
      job_raise(self->job, status, &error);
      PyErr_WriteUnraisable((PyObject *)self);
    }
    self->harness = NULL;
    martlet_harness_free(harness);
    if (exception) errors_restore(exception);
  }
  self->operator = NULL;
  Py_CLEAR(self->job);
  return 0;
}

static void harness_dealloc(harness_object *self) {
  PyObject_GC_UnTrack(self);
  harness_clear(self);
  free_object((PyObject *)self);
}

static PyGetSetDef harness_getset[] = {
  {"watermark", (getter)harness_watermark, NULL, "The watermark the function sees.", NULL},
  {"processing_time", (getter)harness_processing_time, NULL, "The time the function sees.", NULL},
  {NULL, NULL, NULL, NULL, NULL}};

static PyMethodDef harness_methods[] = {
  {"open", (PyCFunction)harness_open, METH_VARARGS, "open(schema, side=0): the input's schema."},
  {"push", (PyCFunction)harness_push, METH_VARARGS, "push(batch, row, has_time, timestamp, side=0)"},
  {"advance_watermark", (PyCFunction)harness_advance_watermark, METH_VARARGS, "advance_watermark(ms, side=0)"},
  {"set_idle", (PyCFunction)harness_set_idle, METH_VARARGS, "set_idle(side, idle)"},
  {"advance_processing_time", (PyCFunction)harness_advance_processing_time, METH_O, "advance_processing_time(ms)"},
  {"fire_due", (PyCFunction)harness_fire_due, METH_O, "Fires the timers that are due now, also those registered late."},
  {"end", (PyCFunction)harness_end, METH_VARARGS, "end(side=0): the end of the input."},
  {"close", (PyCFunction)harness_close, METH_NOARGS, "Calls close() of the function."},
  {"take", (PyCFunction)harness_take, METH_VARARGS,
   "take(tag or None): (batch, timestamps) emitted there since the last call, or None."},
  {"schema", (PyCFunction)harness_schema, METH_VARARGS, "schema(side=0): the input's schema, or None while it is not known."},
  {"key_schema", (PyCFunction)harness_key_schema, METH_NOARGS, "The key columns' schema, or None while it is not known."},
  {"inspect", (PyCFunction)harness_inspect, METH_VARARGS, "inspect(key, body): body(ctx) with that key current."},
  {"keep", (PyCFunction)harness_keep, METH_O, "keep(keeper): who loads and stores the states of the current key."},
  {"place", (PyCFunction)harness_place, METH_VARARGS, "place(instance, parallelism): what ctx says of them; before open."},
  {"snapshot", (PyCFunction)harness_snapshot, METH_NOARGS, "All state, timers and times as bytes."},
  {"restore", (PyCFunction)harness_restore, METH_VARARGS,
   "restore(snapshot, forget, first_group, n_groups, max_parallelism)"},
  {NULL, NULL, 0, NULL}};

static PyType_Slot harness_slots[] = {{Py_tp_doc, "One function driven by hand."},
                                      {Py_tp_new, harness_create},
                                      {Py_tp_dealloc, harness_dealloc},
                                      {Py_tp_traverse, harness_traverse},
                                      {Py_tp_clear, harness_clear},
                                      {Py_tp_getset, harness_getset},
                                      {Py_tp_methods, harness_methods},
                                      {0, NULL}};

static PyType_Spec harness_spec = {.name = "martlet._engine.Harness",
                                   .basicsize = sizeof(harness_object),
                                   .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE,
                                   .slots = harness_slots};

int harness_init(PyObject *module, engine_state *st) {
  st->harness_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &harness_spec, NULL);
  return st->harness_type ? PyModule_AddType(module, st->harness_type) : -1;
}
