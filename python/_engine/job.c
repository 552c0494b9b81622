#include "job.h"

#include <time.h>

#include "batch.h"
#include "clock.h"
#include "errors.h"
#include "job_parts.h"
#include "schema.h"
#include "state_dir.h"
#include "workers.h"

/* ---- the GIL and failures of callbacks --------------------------------------------------------------- */

void job_enter(job_object *self) {
  if (self->depth++ == 0 && self->released) PyEval_RestoreThread(self->thread);
}

void job_leave(job_object *self) {
  if (--self->depth == 0 && self->released) self->thread = PyEval_SaveThread();
}

void job_release_gil(job_object *self) {
  self->running = 1;
  self->opened = 1;
  self->released = 1;
  self->depth = 0;
  Py_INCREF(self);
  self->thread = PyEval_SaveThread();
}

void job_take_gil(job_object *self) {
  PyEval_RestoreThread(self->thread);
  self->released = 0;
  self->running = 0;
}

int32_t job_fail(job_object *self, martlet_error *error) {
  errors_describe(error);
  PyObject *exception = errors_take();
  /* The first failure is the cause; one that follows from closing is not. */
  if (!self->pending) self->pending = exception;
  else Py_XDECREF(exception);
  return MARTLET_CALLBACK_FAILED;
}

/* While the job waits for a source that another thread reads, nothing else sees an interrupt. */
static int32_t job_poll(void *context, martlet_error *error) {
  job_object *self = context;
  job_enter(self);
  int32_t status = PyErr_CheckSignals() < 0 || job_tick(self) < 0 ? job_fail(self, error) : MARTLET_OK;
  job_leave(self);
  return status;
}

int job_raise(job_object *self, int32_t status, const martlet_error *error) {
  PyObject **cause = self->pending ? &self->pending : &self->source_failure;
  if (*cause && (status == MARTLET_CALLBACK_FAILED || status == MARTLET_SOURCE_FAILED)) {
    PyObject *exception = *cause;
    *cause = NULL;
    errors_restore(exception);
    return -1;
  }
  if (status == MARTLET_CALLBACK_FAILED && job_raise_cause(self)) return -1;
  return errors_raise(state_of((PyObject *)self), status, error);
}

void job_fail_source(job_object *self, martlet_error *error) {
  errors_describe(error);
  PyObject *exception = errors_take();
  if (!self->source_failure) self->source_failure = exception;
  else Py_XDECREF(exception);
}

int job_check_usable(job_object *self) {
  engine_state *st = state_of((PyObject *)self);
  if (self->running) {
    PyErr_SetString(
      errors_class(st, MARTLET_BUSY),
      "the stream is running: it was used again from inside one of its own callbacks or from another thread");
    return -1;
  }
  if (!self->job) {
    PyErr_SetString(errors_class(st, MARTLET_CLOSED), "the run is closed; iterate the stream again to start a new one");
    return -1;
  }
  return 0;
}

/* ---- building ----------------------------------------------------------------------------------------- */

static PyObject *job_create(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
  static const char *const keywords[] = {"name", "null_keys", "null_timestamps", "clock", "at_end",
                                         "on_error", "late", "on_failure", "on_tick", "max_parallelism", NULL};
  PyObject *clock = Py_None, *on_failure = Py_None, *on_tick = Py_None;
  martlet_job_options options = {.struct_size = sizeof options};
  martlet_error error;
  if (!PyArg_ParseTupleAndKeywords(args, kwargs, "sii|OiiiOOi", (char **)(void *)keywords, &options.name,
                                   &options.null_keys, &options.null_timestamps, &clock, &options.timers_at_end,
                                   &options.on_error, &options.late, &on_failure, &on_tick, &options.max_parallelism) ||
      clock_of(PyType_GetModuleState(type), clock, &options.clock) < 0)
    return NULL;
  job_object *self = (job_object *)type->tp_alloc(type, 0);
  if (!self) return NULL;
  if (!(self->parts = PyList_New(0)) || PyList_Append(self->parts, clock) < 0) goto failed;
  if (on_failure != Py_None) self->on_failure = Py_NewRef(on_failure);
  if (on_tick != Py_None) self->on_tick = Py_NewRef(on_tick);
  options.poll = job_poll;
  options.poll_context = self;
  int32_t status = martlet_job_create(&options, &self->job, &error);
  if (status == MARTLET_OK) return (PyObject *)self;
  self->job = NULL;
  errors_raise(PyType_GetModuleState(type), status, &error);
failed:
  Py_DECREF(self);
  return NULL;
}

/* ---- running ------------------------------------------------------------------------------------------ */

static PyObject *job_next(job_object *self, PyObject *args) {
  engine_state *st = state_of((PyObject *)self);
  martlet_batch *batch = NULL;
  martlet_error error;
  long long rows, output = 0;
  if (!PyArg_ParseTuple(args, "L|L", &rows, &output) || job_check_usable(self) < 0 || PyErr_CheckSignals() < 0) return NULL;
  job_release_gil(self);
  int32_t status = martlet_job_next_from(self->job, output, rows, &batch, &error);
  job_take_gil(self);
  PyObject *result = NULL;
  if (status != MARTLET_OK) job_raise(self, status, &error);
  else if (!batch) result = Py_NewRef(Py_None);
  else {
    result = batch_new(st, batch, (batch_object *)self->last);
    if (result) Py_XSETREF(self->last, Py_NewRef(result));
  }
  Py_DECREF(self);
  return result;
}

static int close_job(job_object *self) {
  martlet_error error;
  if (!self->job) return 0;
  /* The user's close() runs in here, with the GIL held. */
  self->running = 1;
  int32_t status = martlet_job_close(self->job, &error);
  self->running = 0;
  return status == MARTLET_OK || status == MARTLET_CLOSED ? 0 : job_raise(self, status, &error);
}

static PyObject *job_close(job_object *self, PyObject *unused) {
  (void)unused;
  if (!self->job) Py_RETURN_NONE;
  if (job_check_usable(self) < 0) return NULL;
  Py_CLEAR(self->pending);
  return close_job(self) < 0 ? NULL : Py_NewRef(Py_None);
}

static PyObject *read_report(job_object *self) {
  martlet_report r = {.struct_size = sizeof r};
  martlet_error error;
  int32_t status = martlet_job_report(self->job, &r, &error);
  if (status != MARTLET_OK) {
    errors_raise(state_of((PyObject *)self), status, &error);
    return NULL;
  }
  const struct {
    const char *name;
    int64_t value;
  } counters[] = {
    {"records_in", r.records_in},
    {"records_out", r.records_out},
    {"batches_in", r.batches_in},
    {"batches_out", r.batches_out},
    {"null_keys", r.null_keys},
    {"null_timestamps", r.null_timestamps},
    {"late", r.late},
    {"late_dropped", r.late_dropped},
    {"errors", r.errors},
    {"side_records", r.side_records},
    {"side_dropped", r.side_dropped},
    {"timers_fired", r.timers_fired},
    {"timers_pending", r.timers_pending},
    {"processing_timers_fired", r.processing_timers_fired},
    {"processing_timers_pending", r.processing_timers_pending},
    {"keys", r.keys},
    {"state_entries", r.state_entries},
    {"state_bytes", r.state_bytes},
    {"watermark", r.watermark},
    {"input_watermark", r.input_watermark},
  };
  PyObject *report = PyDict_New();
  for (size_t i = 0; report && i < sizeof counters / sizeof *counters; i++) {
    PyObject *value = PyLong_FromLongLong(counters[i].value);
    if (!value || PyDict_SetItemString(report, counters[i].name, value) < 0) Py_CLEAR(report);
    Py_XDECREF(value);
  }
  return report;
}

static PyObject *job_report(job_object *self, PyObject *unused) {
  (void)unused;
  return job_check_usable(self) < 0 ? NULL : read_report(self);
}

#define TICK_NS 200000000

int job_tick(job_object *self) {
  struct timespec now;
  if (!self->on_tick || clock_gettime(CLOCK_MONOTONIC, &now)) return 0;
  int64_t at = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
  if (at < self->next_tick) return 0;
  self->next_tick = at + TICK_NS;
  PyObject *report = read_report(self);
  PyObject *result = report ? PyObject_CallOneArg(self->on_tick, report) : NULL;
  Py_XDECREF(report);
  Py_XDECREF(result);
  return result ? 0 : -1;
}

static PyObject *job_add_output(job_object *self, PyObject *args) {
  long long process;
  const char *tag;
  int64_t output;
  martlet_error error;
  if (job_check_usable(self) < 0 || !PyArg_ParseTuple(args, "Lz", &process, &tag)) return NULL;
  int32_t status = martlet_job_add_output(self->job, process, tag, &output, &error);
  if (status == MARTLET_OK) return PyLong_FromLongLong(output);
  errors_raise(state_of((PyObject *)self), status, &error);
  return NULL;
}

static PyObject *job_output_schema(job_object *self, PyObject *args) {
  long long output = 0;
  engine_state *st = state_of((PyObject *)self);
  struct ArrowSchema schema = {.release = NULL};
  martlet_error error;
  if (!PyArg_ParseTuple(args, "|L", &output) || job_check_usable(self) < 0) return NULL;
  int32_t status = martlet_job_schema_of(self->job, output, &schema, &error);
  if (status == MARTLET_OK) return schema.release ? schema_new(st, &schema) : Py_NewRef(Py_None);
  errors_raise(st, status, &error);
  return NULL;
}

/* ---- the object --------------------------------------------------------------------------------------- */

static int job_traverse(job_object *self, visitproc visit, void *arg) {
  Py_VISIT(Py_TYPE(self));
  Py_VISIT(self->parts);
  Py_VISIT(self->pending);
  Py_VISIT(self->source_failure);
  Py_VISIT(self->on_failure);
  Py_VISIT(self->on_tick);
  Py_VISIT(self->on_cause);
  return 0;
}

/* The engine job goes first: it borrows the parts. */
static void free_job(job_object *self) {
  if (!self->job) return;
  PyObject *exception = errors_take();
  if (close_job(self) < 0) PyErr_WriteUnraisable((PyObject *)self);
  martlet_job *job = self->job;
  self->job = NULL;
  martlet_job_free(job);
  if (exception) errors_restore(exception);
}

static int job_clear(job_object *self) {
  free_job(self);
  Py_CLEAR(self->parts);
  Py_CLEAR(self->pending);
  Py_CLEAR(self->source_failure);
  Py_CLEAR(self->last);
  Py_CLEAR(self->on_failure);
  Py_CLEAR(self->on_tick);
  Py_CLEAR(self->on_cause);
  Py_CLEAR(self->cause);
  return 0;
}

static void job_dealloc(job_object *self) {
  PyObject_GC_UnTrack(self);
  job_clear(self);
  free_object((PyObject *)self);
}

static PyMethodDef job_methods[] = {
  {"add_source", (PyCFunction)job_add_source, METH_VARARGS,
   "add_source(name, timestamp, bound_ms, idle_ms, is_live, items, all_rows, schema, places=None)"},
  {"add_arrow_stream", (PyCFunction)job_add_arrow_stream, METH_VARARGS,
   "add_arrow_stream(name, timestamp, bound_ms, idle_ms, is_live, object, is_replayable=False)"},
  {"add_process", (PyCFunction)job_add_process, METH_VARARGS,
   "add_process(name, target, methods, keys, states, output, side_outputs, kind, inputs, aliases)"},
  {"next", (PyCFunction)job_next, METH_VARARGS, "next(min_rows, output=0): the output's next batch, or None at its end."},
  {"add_output", (PyCFunction)job_add_output, METH_VARARGS,
   "add_output(process, tag): asks for an output; its number. process: from 1; tag: None for the main output."},
  {"use_workers", (PyCFunction)job_use_workers, METH_VARARGS,
   "use_workers(sockets, max_parallelism, revive): runs instance i of every function behind the i-th socket, which is moved; "
   "revive makes an exception of what a worker's describe gave."},
  {"serve", (PyCFunction)job_serve, METH_VARARGS,
   "serve(socket, instance, parallelism, max_parallelism, describe): works for the job behind the socket until it ends."},
  {"close", (PyCFunction)job_close, METH_NOARGS, "Calls close() of every function and drops the state."},
  {"report", (PyCFunction)job_report, METH_NOARGS, "The counters as a dict."},
  {"output_schema", (PyCFunction)job_output_schema, METH_VARARGS,
   "output_schema(output=0): its schema, or None while it is not known."},
  {"pause", (PyCFunction)job_pause, METH_NOARGS, "Lets next() give soon what there is. From any thread."},
  {"is_paused", (PyCFunction)job_is_paused, METH_NOARGS, "Whether the last next() came back because of pause()."},
  {"stay_open", (PyCFunction)job_stay_open, METH_NOARGS, "The end of the input leaves the job open, until close()."},
  {"take", (PyCFunction)job_take, METH_VARARGS, "take(output=0): what there is of an output without reading more, or None."},
  {"save", (PyCFunction)job_save, METH_VARARGS,
   "save(path, id, sink): writes a savepoint. What was put out must have been taken."},
  {NULL, NULL, 0, NULL}};

static PyType_Slot job_slots[] = {{Py_tp_doc, "One run of a stream."},
                                  {Py_tp_new, job_create},
                                  {Py_tp_dealloc, job_dealloc},
                                  {Py_tp_traverse, job_traverse},
                                  {Py_tp_clear, job_clear},
                                  {Py_tp_methods, job_methods},
                                  {0, NULL}};

static PyType_Spec job_spec = {.name = "martlet._engine.Job",
                               .basicsize = sizeof(job_object),
                               .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE,
                               .slots = job_slots};

int job_init(PyObject *module, engine_state *st) {
  st->job_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &job_spec, NULL);
  return st->job_type ? PyModule_AddType(module, st->job_type) : -1;
}
