#include "source.h"

#include "appending.h"
#include "arrow.h"
#include "errors.h"
#include "inference.h"
#include "job.h"
#include "partitions.h"
#include "places.h"
#include "schema.h"

struct source_object {
  PyObject_HEAD engine_state *st;
  job_object *job; /* borrowed: the job owns its sources; NULL once abandoned */
  PyInterpreterState *interpreter;
  PyObject *name;
  PyObject *items; /* list or tuple (all_rows), or an iterator */
  bool all_rows;
  bool declared;  /* the schema of the rows was given */
  bool announced; /* the engine has the schema of the rows */
  int64_t count;  /* items or rows read so far */
  /* rows */
  struct ArrowSchema schema;
  martlet_builder *builder;
  PyObject *names;
  PyObject *index;
  /* the stream of the current item, when the item is one */
  struct ArrowArrayStream stream;
  struct ArrowSchema stream_schema;
  source_places places;
  source_partitions partition;
};

static int engine_failed(source_object *self, int32_t status, const martlet_error *error) {
  return errors_raise(self->st, status, error);
}

/* ---- rows -------------------------------------------------------------------------------------------- */

static int open_rows(source_object *self) {
  struct ArrowSchema copy;
  martlet_error error;
  PyObject *names = PyTuple_New((Py_ssize_t)self->schema.n_children);
  for (Py_ssize_t i = 0; names && i < self->schema.n_children; i++) {
    PyObject *name = PyUnicode_FromString(self->schema.children[i]->name);
    if (!name) Py_CLEAR(names);
    else {
      PyUnicode_InternInPlace(&name);
      PyTuple_SET_ITEM(names, i, name);
    }
  }
  if (!(self->names = names) || !(self->index = schema_name_index(names)) ||
      arrow_schema_copy(&self->schema, &copy) < 0)
    return -1;
  int32_t status = martlet_builder_create(&copy, &self->builder, &error);
  if (status == MARTLET_OK) return 0;
  self->builder = NULL;
  return engine_failed(self, status, &error);
}

static int not_a_row(source_object *self, PyObject *item) {
  PyErr_Format(errors_class(self->st, MARTLET_SOURCE_FAILED),
               "stream '%U': item %lld is of type %s; a source gives dicts or objects of the Arrow PyCapsule interface "
               "(record batches, tables, data frames)",
               self->name, (long long)self->count, Py_TYPE(item)->tp_name);
  return -1;
}

static int infer_row(source_object *self, inferred *root, PyObject *row) {
  PyObject *name, *value;
  Py_ssize_t at = 0;
  int result = 0;
  while (result == 0 && PyDict_Next(row, &at, &name, &value)) {
    inferred *field = inferred_field(self->st, root, name);
    PyObject *where = field ? PyUnicode_FromFormat("column '%U'", name) : NULL;
    const char *text = where ? PyUnicode_AsUTF8(where) : NULL;
    result = text ? inferred_add(self->st, field, text, value) : -1;
    Py_XDECREF(where);
  }
  return result;
}

/* The schema of `n` rows from `first` on. */
static int infer_rows(source_object *self, PyObject *const *first, Py_ssize_t n) {
  inferred *root = inferred_new();
  int result = root ? 0 : -1;
  int64_t before = self->count;
  for (Py_ssize_t i = 0; result == 0 && i < n; i++) {
    self->count = i;
    if (i % SOURCE_ROWS_PER_BATCH == 0 && PyErr_CheckSignals() < 0) result = -1;
    else result = PyDict_Check(first[i]) ? infer_row(self, root, first[i]) : not_a_row(self, first[i]);
  }
  if (result == 0) result = inferred_schema(root, "", &self->schema);
  inferred_free(root);
  if (result == 0 && strcmp(self->schema.format, "+s")) {
    arrow_schema_release(&self->schema);
    result = arrow_schema_init(&self->schema, "+s", "", 0, 0);
  }
  if (result == 0) self->count = before;
  return result < 0 ? -1 : open_rows(self);
}

static int append_row(source_object *self, PyObject *row) {
  PyObject *name, *value;
  Py_ssize_t at = 0, i = 0;
  martlet_error error;
  if (!PyDict_Check(row)) return not_a_row(self, row);
  while (PyDict_Next(row, &at, &name, &value)) {
    int64_t column = i;
    if (i >= PyTuple_GET_SIZE(self->names) || PyTuple_GET_ITEM(self->names, i) != name) {
      PyObject *position = PyDict_GetItemWithError(self->index, name);
      if (!position) {
        if (!PyErr_Occurred())
          PyErr_Format(errors_class(self->st, MARTLET_SCHEMA_MISMATCH),
                       "column %R is not in the stream's schema, whose columns are %R", name, self->names);
        goto failed;
      }
      column = PyLong_AsLongLong(position);
    }
    martlet_appender *appender = martlet_builder_appender(self->builder, column);
    /* Converting a value may run its __index__, which could change the dict. */
    Py_INCREF(value);
    int result = append_value(self->st, appender, martlet_appender_field(appender), value);
    Py_DECREF(value);
    if (result < 0) goto failed;
    i++;
  }
  int32_t status = martlet_builder_end_row(self->builder, &error);
  if (status == MARTLET_OK) {
    self->count++;
    return 0;
  }
  engine_failed(self, status, &error);
failed:;
  PyObject *exception = errors_take();
  martlet_builder_cancel_row(self->builder);
  errors_restore(exception);
  return -1;
}

static int give_rows(source_object *self, struct ArrowArray *array, struct ArrowSchema *schema) {
  martlet_batch *batch;
  martlet_error error;
  int32_t status = martlet_builder_finish(self->builder, &batch, &error);
  if (status != MARTLET_OK) return engine_failed(self, status, &error);
  struct ArrowSchema copy = {.release = NULL};
  if (!self->announced && arrow_schema_copy(&self->schema, &copy) < 0) {
    martlet_batch_release(batch);
    return -1;
  }
  status = martlet_batch_export(batch, 0, martlet_batch_num_rows(batch), array, &error);
  martlet_batch_release(batch);
  if (status != MARTLET_OK) {
    arrow_schema_release(&copy);
    return engine_failed(self, status, &error);
  }
  if (!self->announced) *schema = copy;
  self->announced = true;
  return 0;
}

static int next_rows(source_object *self, struct ArrowArray *array, struct ArrowSchema *schema) {
  Py_ssize_t n = PySequence_Fast_GET_SIZE(self->items);
  if (!self->builder && n && infer_rows(self, PySequence_Fast_ITEMS(self->items), n) < 0) return -1;
  if (!self->builder) return 0;
  if (self->count >= n && self->announced) return 0;
  for (int64_t left = SOURCE_ROWS_PER_BATCH; left > 0 && self->count < PySequence_Fast_GET_SIZE(self->items); left--)
    if (append_row(self, PySequence_Fast_GET_ITEM(self->items, (Py_ssize_t)self->count)) < 0) return -1;
  return give_rows(self, array, schema);
}

static int next_row(source_object *self, PyObject *row, struct ArrowArray *array, struct ArrowSchema *schema) {
  if (!self->builder && infer_rows(self, &row, 1) < 0) return -1;
  return append_row(self, row) < 0 ? -1 : give_rows(self, array, schema);
}

/* ---- Arrow ------------------------------------------------------------------------------------------- */

static void close_stream(source_object *self) {
  if (self->stream.release) self->stream.release(&self->stream);
  self->stream.release = NULL;
  arrow_schema_release(&self->stream_schema);
}

static int open_stream(source_object *self, PyObject *item) {
  if (arrow_take_stream(self->st, item, &self->stream) < 0) return -1;
  int code = self->stream.get_schema(&self->stream, &self->stream_schema);
  if (!code) return 0;
  self->stream_schema.release = NULL;
  arrow_stream_error(self->st, &self->stream, code, "reading its schema");
  return -1;
}

static int fewer_rows(source_object *self) {
  PyErr_Format(errors_class(self->st, MARTLET_SOURCE_FAILED),
               "stream '%U': the batch that the checkpoint was taken in has %lld rows fewer than it had; a source must give the "
               "same rows each time",
               self->name, (long long)self->places.skip);
  return -1;
}

/* 1: a batch, 0: the stream has ended, -1: exception. */
static int next_of_stream(source_object *self, struct ArrowArray *array, struct ArrowSchema *schema) {
  struct ArrowSchema copy;
  for (;;) {
    int code = self->stream.get_next(&self->stream, array);
    if (code) {
      array->release = NULL;
      return arrow_stream_error(self->st, &self->stream, code, "reading");
    }
    if (!array->release) {
      int more = 0;
      if (!self->places.rows && !self->places.skip && (more = partition_note(&self->partition)) > 0)
        more = partition_give_empty(self->st, &self->stream_schema, array, schema);
      close_stream(self);
      places_end_item(&self->places);
      return self->places.skip ? fewer_rows(self) : more;
    }
    if (!self->places.skip || array->length > self->places.skip) break;
    self->places.skip -= array->length;
    arrow_array_release(array);
  }
  if (self->places.skip) {
    array->offset += self->places.skip;
    array->length -= self->places.skip;
    array->null_count = -1;
    self->places.skip = 0;
  }
  self->places.rows += array->length;
  if (arrow_schema_copy(&self->stream_schema, &copy) < 0) {
    arrow_array_release(array);
    return -1;
  }
  *schema = copy;
  return 1;
}

/* ---- the callback ------------------------------------------------------------------------------------- */

static int next_item(source_object *self, struct ArrowArray *array, struct ArrowSchema *schema) {
  for (;;) {
    if (PyErr_CheckSignals() < 0) return -1;
    if (self->stream.release) {
      int more = next_of_stream(self, array, schema);
      if (more) return more < 0 ? -1 : 0;
      continue;
    }
    PyObject *item = PyIter_Next(self->items);
    if (!item) return PyErr_Occurred() ? -1 : 0;
    int result = 0;
    bool given = true;
    if (PyDict_Check(item)) result = next_row(self, item, array, schema);
    else if (self->declared) {
      result = -1;
      PyErr_Format(errors_class(self->st, MARTLET_INVALID_ARGUMENT),
                   "stream '%U': schema= is for sources of dicts; item %lld is of type %s", self->name,
                   (long long)self->count, Py_TYPE(item)->tp_name);
    } else if (arrow_has(item, self->st->arrow_c_array)) {
      result = arrow_take_array(self->st, item, array, schema);
      self->count++;
    } else if (arrow_has(item, self->st->arrow_c_stream)) {
      result = open_stream(self, item);
      self->count++;
      given = false;
    } else result = not_a_row(self, item);
    Py_DECREF(item);
    if (result < 0) return -1;
    if (!given) continue;
    places_end_item(&self->places);
    return self->places.skip ? fewer_rows(self) : 0;
  }
}

static void add_note(source_object *self) {
  PyObject *exception = errors_take();
  const char *hint = PyErr_GivenExceptionMatches(exception, errors_class(self->st, MARTLET_SCHEMA_MISMATCH)) &&
                         !self->declared && self->builder
                       ? "; the schema was inferred from the first record, pass schema= to mt.stream to declare it"
                       : "";
  errors_add_note(exception,
                  PyUnicode_FromFormat("in stream '%U', record %lld%s", self->name, (long long)self->count, hint));
  PyObject *record = PyLong_FromLongLong(self->count);
  errors_restore(exception);
  if (record) errors_locate(self->st, NULL, record, NULL);
  Py_XDECREF(record);
}

static int give_next(source_object *self, struct ArrowArray *array, struct ArrowSchema *schema) {
  if ((self->all_rows ? next_rows(self, array, schema) : next_item(self, array, schema)) < 0) return -1;
  if (self->all_rows) self->places.items = self->count;
  if (partition_note(&self->partition) >= 0 && places_note(&self->places, self->stream.release) == 0) return 0;
  arrow_array_release(array);
  arrow_schema_release(schema);
  return -1;
}

static int32_t source_next(void *context, struct ArrowArray *array, struct ArrowSchema *schema, martlet_error *error) {
  source_object *self = context;
  int32_t status = MARTLET_OK;
  array->release = NULL;
  schema->release = NULL;
  job_enter(self->job);
  if (PyErr_CheckSignals() < 0 || give_next(self, array, schema) < 0) {
    add_note(self);
    status = job_fail(self->job, error);
  }
  job_leave(self->job);
  return status;
}

/* On a thread of the engine's. It gets a thread state for each call, and none that could outlive the interpreter. Signals are
 * the affair of the job's thread, in job_poll. */
static int32_t source_next_background(void *context, struct ArrowArray *array, struct ArrowSchema *schema,
                                      martlet_error *error) {
  source_object *self = context;
  int32_t status = MARTLET_OK;
  array->release = NULL;
  schema->release = NULL;
  PyThreadState *thread = PyThreadState_New(self->interpreter);
  if (!thread) return MARTLET_CALLBACK_FAILED;
  PyEval_RestoreThread(thread);
  if (give_next(self, array, schema) < 0) {
    status = MARTLET_CALLBACK_FAILED;
    if (self->job) {
      add_note(self);
      job_fail_source(self->job, error);
    } else PyErr_Clear();
  }
  PyThreadState_Clear(thread);
  PyThreadState_DeleteCurrent();
  return status;
}

/* Needs no GIL, as source_offset. */
static int32_t source_partition(void *context, const char **name, size_t *length, int32_t *is_last, martlet_error *error) {
  (void)error;
  partition_tell(&((source_object *)context)->partition, name, length, is_last);
  return MARTLET_OK;
}

/* ---- places ------------------------------------------------------------------------------------------ */

/* Needs no GIL: the bytes stay until the next call of the source. */
static int32_t source_offset(void *context, const uint8_t **bytes, size_t *length, martlet_error *error) {
  source_object *self = context;
  (void)error;
  *length = self->places.bytes ? (size_t)PyBytes_GET_SIZE(self->places.bytes) : 0;
  *bytes = self->places.bytes ? (const uint8_t *)PyBytes_AS_STRING(self->places.bytes) : NULL;
  return MARTLET_OK;
}

static int too_few(source_object *self, int64_t wanted, int64_t found) {
  PyErr_Format(errors_class(self->st, MARTLET_SOURCE_FAILED),
               "stream '%U': it has %lld items, and the checkpoint was taken after %lld; give the job the input it had",
               self->name, (long long)found, (long long)wanted);
  return -1;
}

/* Goes to item number `n`. */
static int go_to(source_object *self, int64_t n) {
  if (self->all_rows) {
    if (n > PySequence_Fast_GET_SIZE(self->items)) return too_few(self, n, PySequence_Fast_GET_SIZE(self->items));
    self->count = n;
    return 0;
  }
  for (int64_t i = 0; i < n; i++) {
    PyObject *item = PyErr_CheckSignals() < 0 ? NULL : PyIter_Next(self->items);
    if (!item) return PyErr_Occurred() ? -1 : too_few(self, n, i);
    /* The schema of dicts is inferred from the first. */
    int result = i == 0 && PyDict_Check(item) && !self->builder ? infer_rows(self, &item, 1) : 0;
    Py_DECREF(item);
    if (result < 0) return -1;
    self->count++;
  }
  return 0;
}

static int32_t source_seek(void *context, const uint8_t *bytes, size_t length, martlet_error *error) {
  source_object *self = context;
  int64_t items = 0;
  int32_t status = MARTLET_OK;
  job_enter(self->job);
  if (places_seek(self->st, &self->places, self->name, bytes, length, &items) < 0 || go_to(self, items) < 0)
    status = job_fail(self->job, error);
  job_leave(self->job);
  return status;
}

/* ---- the end ----------------------------------------------------------------------------------------- */

/* The job goes while another thread is inside source_next_background: from here on the source belongs to that thread. */
static void source_abandon(void *context) {
  source_object *self = context;
  job_object *job = self->job;
  job_enter(job);
  self->job = NULL;
  Py_INCREF(self);
  job_leave(job);
}

/* Otherwise the job owns the source and outlives the engine's use of it. */
static void source_destroy(void *context) {
  source_object *self = context;
  if (self->job) return;
  PyThreadState *thread = PyThreadState_New(self->interpreter);
  if (!thread) return;
  PyEval_RestoreThread(thread);
  Py_DECREF(self);
  PyThreadState_Clear(thread);
  PyThreadState_DeleteCurrent();
}

martlet_source source_callbacks(source_object *self) {
  return (martlet_source){
    .struct_size = sizeof(martlet_source),
    .context = self,
    .next = source_next,
    .destroy = source_destroy,
    .next_background = self->all_rows ? NULL : source_next_background,
    .abandon = source_abandon,
    .offset = source_offset,
    .seek = source_seek,
    .partition = self->partition.reading ? source_partition : NULL,
  };
}

/* ---- the object --------------------------------------------------------------------------------------- */

source_object *source_new(engine_state *st, job_object *job, PyObject *name, PyObject *items, bool all_rows,
                          PyObject *declared, PyObject *places, PyObject *reading) {
  source_object *self = (source_object *)st->source_type->tp_alloc(st->source_type, 0);
  if (!self) return NULL;
  self->st = st;
  self->job = job;
  self->interpreter = PyInterpreterState_Get();
  self->name = Py_NewRef(name);
  self->all_rows = all_rows;
  self->partition.reading = reading == Py_None ? NULL : reading;
  self->items = all_rows ? Py_NewRef(items) : PyObject_GetIter(items);
  if (!self->items || places_open(&self->places, places) < 0) goto failed;
  if (declared != Py_None) {
    if (schema_from_python(st, declared, &self->schema) < 0) goto failed;
    self->declared = true;
    if (open_rows(self) < 0) goto failed;
  }
  return self;
failed:
  Py_DECREF(self);
  return NULL;
}

static int source_traverse(source_object *self, visitproc visit, void *arg) {
  Py_VISIT(Py_TYPE(self));
  Py_VISIT(self->items);
  return 0;
}

/* No tp_clear, for the reason given in operator.c. */
static void source_dealloc(source_object *self) {
  PyObject_GC_UnTrack(self);
  close_stream(self);
  arrow_schema_release(&self->schema);
  martlet_builder_free(self->builder);
  places_close(&self->places);
  Py_XDECREF(self->partition.last);
  Py_XDECREF(self->names);
  Py_XDECREF(self->index);
  Py_XDECREF(self->items);
  Py_XDECREF(self->name);
  free_object((PyObject *)self);
}

static PyType_Slot source_slots[] = {{Py_tp_dealloc, source_dealloc}, {Py_tp_traverse, source_traverse}, {0, NULL}};

static PyType_Spec source_spec = {
  .name = "martlet._engine.Source",
  .basicsize = sizeof(source_object),
  .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE | Py_TPFLAGS_DISALLOW_INSTANTIATION,
  .slots = source_slots};

int source_init(PyObject *module, engine_state *st) {
  st->source_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &source_spec, NULL);
  return st->source_type ? 0 : -1;
}
