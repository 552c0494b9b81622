#include "state_files.h"

#include "batch.h"
#include "errors.h"
#include "job.h"
#include "schema.h"

typedef struct reader_object {
  PyObject_HEAD martlet_state_reader *reader;
} reader_object;

typedef struct rows_object {
  PyObject_HEAD martlet_state_rows *rows;
  PyObject *schema; /* Schema */
  PyObject *last;   /* the batch given last: its names are those of the next */
} rows_object;

typedef struct writer_object {
  PyObject_HEAD martlet_state_writer *writer; /* NULL once closed */
} writer_object;

static PyObject *raised(PyObject *self, int32_t status, const martlet_error *error) {
  errors_raise(state_of(self), status, error);
  return NULL;
}

/* A batch of Python as the engine's; new (martlet_batch_release). NULL with an exception. */
static martlet_batch *batch_of(engine_state *st, PyObject *object) {
  if (!Py_IS_TYPE(object, st->batch_type)) {
    PyErr_Format(PyExc_TypeError, "expected a RecordBatch, got %s", Py_TYPE(object)->tp_name);
    return NULL;
  }
  rows *rows = &((batch_object *)object)->rows;
  if (rows->offset == 0 && rows->length == martlet_batch_num_rows(rows->batch)) return martlet_batch_retain(rows->batch);
  struct ArrowArray array = {0};
  struct ArrowSchema schema = {0};
  martlet_batch *batch = NULL;
  martlet_error error;
  int32_t status = martlet_batch_export(rows->batch, rows->offset, rows->length, &array, &error);
  if (status == MARTLET_OK) status = martlet_batch_export_schema(rows->batch, &schema, &error);
  if (status == MARTLET_OK) status = martlet_batch_import(&array, &schema, &batch, &error);
  if (array.release) array.release(&array);
  if (schema.release) schema.release(&schema);
  if (status != MARTLET_OK) errors_raise(st, status, &error);
  return batch;
}

/* ---- reading ------------------------------------------------------------------------------------------ */

static PyObject *reader_create(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
  static const char *const keywords[] = {"path", NULL};
  const char *path;
  martlet_error error;
  if (!PyArg_ParseTupleAndKeywords(args, kwargs, "s", (char **)(void *)keywords, &path)) return NULL;
  reader_object *self = (reader_object *)type->tp_alloc(type, 0);
  if (!self) return NULL;
  int32_t status;
  Py_BEGIN_ALLOW_THREADS
  status = martlet_state_reader_open(path, &self->reader, &error);
  Py_END_ALLOW_THREADS
  if (status == MARTLET_OK) return (PyObject *)self;
  self->reader = NULL;
  raised((PyObject *)self, status, &error);
  Py_DECREF(self);
  return NULL;
}

static void reader_dealloc(reader_object *self) {
  martlet_state_reader_free(self->reader);
  free_object((PyObject *)self);
}

static PyObject *reader_info(reader_object *self, PyObject *unused) {
  (void)unused;
  martlet_checkpoint_info info = {.struct_size = sizeof info};
  martlet_error error;
  int32_t status = martlet_state_reader_info(self->reader, &info, &error);
  if (status != MARTLET_OK) return raised((PyObject *)self, status, &error);
  PyObject *sources = PyList_New(0);
  for (int64_t i = 0; sources && i < info.n_sources; i++) {
    martlet_source_info source = {.struct_size = sizeof source};
    status = martlet_state_reader_source(self->reader, i, &source, &error);
    if (status != MARTLET_OK) {
      Py_DECREF(sources);
      return raised((PyObject *)self, status, &error);
    }
    PyObject *one = Py_BuildValue("{s:s,s:y#,s:L,s:L,s:N}", "name", source.name, "offset", (const char *)source.offset,
                                  (Py_ssize_t)source.offset_length, "records", (long long)source.records, "watermark",
                                  (long long)source.watermark, "has_ended", PyBool_FromLong(source.has_ended));
    if (!one || PyList_Append(sources, one) < 0) Py_CLEAR(sources);
    Py_XDECREF(one);
  }
  if (!sources) return NULL;
  return Py_BuildValue("{s:s,s:s,s:L,s:L,s:s,s:i,s:i,s:N,s:L}", "path", info.path, "damaged", info.damaged, "id",
                       (long long)info.id, "time", (long long)info.time_ms, "job", info.job_name, "parallelism",
                       (int)info.parallelism, "max_parallelism", (int)info.max_parallelism, "sources", sources,
                       "operators", (long long)info.n_operators);
}

static PyObject *schema_of(engine_state *st, int32_t status, struct ArrowSchema *schema, const martlet_error *error) {
  if (status == MARTLET_OK) return schema_new(st, schema);
  errors_raise(st, status, error);
  return NULL;
}

static PyObject *reader_operator(reader_object *self, PyObject *number) {
  static const char *const kinds[] = {"process", "connect", "broadcast"};
  martlet_operator_info info = {.struct_size = sizeof info};
  martlet_error error;
  struct ArrowSchema schema = {0};
  long long index = PyLong_AsLongLong(number);
  if (index == -1 && PyErr_Occurred()) return NULL;
  int32_t status = martlet_state_reader_operator(self->reader, index, &info, &error);
  if (status != MARTLET_OK) return raised((PyObject *)self, status, &error);
  status = martlet_state_reader_key_schema(self->reader, index, &schema, &error);
  PyObject *key = schema_of(state_of((PyObject *)self), status, &schema, &error);
  PyObject *states = key ? PyList_New(0) : NULL;
  for (int64_t i = 0; states && i < info.n_states; i++) {
    martlet_state_spec spec = {.struct_size = sizeof spec};
    status = martlet_state_reader_state(self->reader, index, i, &spec, &error);
    PyObject *one = NULL;
    if (status != MARTLET_OK) raised((PyObject *)self, status, &error);
    else
      one = Py_BuildValue("(sizziiL)", spec.name, (int)spec.kind, spec.format, spec.key_format, (int)spec.reducer,
                          (int)spec.ttl_flags, (long long)spec.ttl_ms);
    if (!one || PyList_Append(states, one) < 0) Py_CLEAR(states);
    Py_XDECREF(one);
  }
  if (!states) {
    Py_XDECREF(key);
    return NULL;
  }
  return Py_BuildValue("{s:s,s:s,s:N,s:N,s:L,s:L,s:L,s:L,s:N}", "name", info.name, "kind",
                       kinds[info.kind >= 0 && info.kind < 3 ? info.kind : 0], "key", key, "states", states,
                       "watermark", (long long)info.watermark, "processing_time", (long long)info.processing_time,
                       "records", (long long)info.records, "right_records", (long long)info.right_records, "has_ended",
                       PyBool_FromLong(info.has_ended));
}

static PyObject *reader_find(reader_object *self, PyObject *args) {
  const char *operator_name, *state;
  int64_t index, state_index;
  martlet_error error;
  if (!PyArg_ParseTuple(args, "zz", &operator_name, &state)) return NULL;
  int32_t status = martlet_state_reader_find(self->reader, operator_name, state, &index, &state_index, &error);
  if (status != MARTLET_OK) return raised((PyObject *)self, status, &error);
  return Py_BuildValue("(LL)", (long long)index, (long long)state_index);
}

static PyObject *counts(const int64_t *keys, const int64_t *entries, int64_t n) {
  PyObject *list = PyList_New((Py_ssize_t)n);
  for (int64_t i = 0; list && i < n; i++) {
    PyObject *pair = Py_BuildValue("(LL)", (long long)keys[i], (long long)entries[i]);
    if (!pair) Py_CLEAR(list);
    else PyList_SET_ITEM(list, (Py_ssize_t)i, pair);
  }
  return list;
}

static PyObject *reader_count(reader_object *self, PyObject *number) {
  martlet_operator_info info = {.struct_size = sizeof info};
  martlet_error error;
  int64_t keys = 0, timers = 0;
  long long index = PyLong_AsLongLong(number);
  if (index == -1 && PyErr_Occurred()) return NULL;
  int32_t status = martlet_state_reader_operator(self->reader, index, &info, &error);
  if (status != MARTLET_OK) return raised((PyObject *)self, status, &error);
  int64_t *each = PyMem_Calloc((size_t)info.n_states * 2 + 1, sizeof *each);
  if (!each) return PyErr_NoMemory();
  Py_BEGIN_ALLOW_THREADS
  status = martlet_state_reader_count(self->reader, index, &keys, &timers, each, each + info.n_states, &error);
  Py_END_ALLOW_THREADS
  PyObject *result = NULL;
  if (status != MARTLET_OK) raised((PyObject *)self, status, &error);
  else {
    PyObject *states = counts(each, each + info.n_states, info.n_states);
    result = states ? Py_BuildValue("(LLN)", (long long)keys, (long long)timers, states) : NULL;
  }
  PyMem_Free(each);
  return result;
}

static PyObject *reader_schema(reader_object *self, PyObject *args) {
  long long index, state;
  struct ArrowSchema schema = {0};
  martlet_error error;
  if (!PyArg_ParseTuple(args, "LL", &index, &state)) return NULL;
  int32_t status = martlet_state_reader_schema(self->reader, index, state, &schema, &error);
  return schema_of(state_of((PyObject *)self), status, &schema, &error);
}

static PyObject *reader_rows(reader_object *self, PyObject *args) {
  engine_state *st = state_of((PyObject *)self);
  long long index, state;
  PyObject *key;
  martlet_batch *batch = NULL;
  martlet_error error;
  if (!PyArg_ParseTuple(args, "LLO", &index, &state, &key)) return NULL;
  if (key != Py_None && !(batch = batch_of(st, key))) return NULL;
  PyObject *schema_args = Py_BuildValue("(LL)", index, state);
  PyObject *schema = schema_args ? reader_schema(self, schema_args) : NULL;
  Py_XDECREF(schema_args);
  rows_object *rows = schema ? (rows_object *)st->state_rows_type->tp_alloc(st->state_rows_type, 0) : NULL;
  if (!rows) {
    Py_XDECREF(schema);
    martlet_batch_release(batch);
    return NULL;
  }
  rows->schema = schema;
  int32_t status = martlet_state_reader_rows(self->reader, index, state, batch, &rows->rows, &error);
  martlet_batch_release(batch);
  if (status == MARTLET_OK) return (PyObject *)rows;
  rows->rows = NULL;
  Py_DECREF(rows);
  return raised((PyObject *)self, status, &error);
}

static PyMethodDef reader_methods[] = {
  {"info", (PyCFunction)reader_info, METH_NOARGS, "What the checkpoint is: a dict."},
  {"operator", (PyCFunction)reader_operator, METH_O,
   "operator(index): what one operator is: a dict. Its states are (name, kind, format, key format, reducer, TTL flags, TTL in ms)."},
  {"find", (PyCFunction)reader_find, METH_VARARGS, "find(operator, state): their numbers; -1 for no state."},
  {"count", (PyCFunction)reader_count, METH_O, "count(operator): (keys, timers, [(keys, entries) of each state])."},
  {"schema", (PyCFunction)reader_schema, METH_VARARGS, "schema(operator, state): of a table; state -1: the timers."},
  {"rows", (PyCFunction)reader_rows, METH_VARARGS,
   "rows(operator, state, key): a table; only of the key in a RecordBatch of one row, unless that is None."},
  {NULL, NULL, 0, NULL}};

static PyType_Slot reader_slots[] = {{Py_tp_doc, "StateReader(path): a checkpoint, verified."},
                                     {Py_tp_new, reader_create},
                                     {Py_tp_dealloc, reader_dealloc},
                                     {Py_tp_methods, reader_methods},
                                     {0, NULL}};

static PyType_Spec reader_spec = {.name = "martlet._engine.StateReader",
                                  .basicsize = sizeof(reader_object),
                                  .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
                                  .slots = reader_slots};

/* ---- a table ------------------------------------------------------------------------------------------ */

static void rows_dealloc(rows_object *self) {
  martlet_state_rows_free(self->rows);
  Py_XDECREF(self->schema);
  Py_XDECREF(self->last);
  free_object((PyObject *)self);
}

static PyObject *rows_next(rows_object *self) {
  martlet_batch *batch = NULL;
  martlet_error error;
  int32_t status;
  Py_BEGIN_ALLOW_THREADS
  status = martlet_state_rows_next(self->rows, 8192, &batch, &error);
  Py_END_ALLOW_THREADS
  if (status != MARTLET_OK) return raised((PyObject *)self, status, &error);
  if (!batch) return NULL;
  PyObject *object = batch_new(state_of((PyObject *)self), batch, (batch_object *)self->last);
  if (object) Py_XSETREF(self->last, Py_NewRef(object));
  return object;
}

static PyObject *rows_get_schema(rows_object *self, void *unused) {
  (void)unused;
  return Py_NewRef(self->schema);
}

static PyGetSetDef rows_getset[] = {{"schema", (getter)rows_get_schema, NULL, "The table's columns.", NULL},
                                    {NULL, NULL, NULL, NULL, NULL}};

static PyType_Slot rows_slots[] = {{Py_tp_doc, "The table of a state or of timers, batch by batch."},
                                   {Py_tp_dealloc, rows_dealloc},
                                   {Py_tp_iter, PyObject_SelfIter},
                                   {Py_tp_iternext, rows_next},
                                   {Py_tp_getset, rows_getset},
                                   {0, NULL}};

static PyType_Spec rows_spec = {
  .name = "martlet._engine.StateRows",
  .basicsize = sizeof(rows_object),
  .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE | Py_TPFLAGS_DISALLOW_INSTANTIATION,
  .slots = rows_slots};

/* ---- writing ------------------------------------------------------------------------------------------ */

static PyObject *writer_create(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
  static const char *const keywords[] = {"path", "job", NULL};
  engine_state *st = PyType_GetModuleState(type);
  const char *path;
  job_object *job;
  martlet_error error;
  if (!PyArg_ParseTupleAndKeywords(args, kwargs, "sO!", (char **)(void *)keywords, &path, st->job_type, &job) ||
      job_check_usable(job) < 0)
    return NULL;
  writer_object *self = (writer_object *)type->tp_alloc(type, 0);
  if (!self) return NULL;
  int32_t status = martlet_state_writer_create(path, job->job, &self->writer, &error);
  if (status == MARTLET_OK) return (PyObject *)self;
  self->writer = NULL;
  raised((PyObject *)self, status, &error);
  Py_DECREF(self);
  return NULL;
}

static void writer_dealloc(writer_object *self) {
  martlet_state_writer_free(self->writer);
  free_object((PyObject *)self);
}

static PyObject *writer_add(writer_object *self, PyObject *args) {
  const char *operator_name, *table;
  PyObject *rows;
  martlet_error error;
  if (!PyArg_ParseTuple(args, "zsO", &operator_name, &table, &rows)) return NULL;
  martlet_batch *batch = batch_of(state_of((PyObject *)self), rows);
  if (!batch) return NULL;
  int32_t status;
  Py_BEGIN_ALLOW_THREADS
  status = martlet_state_writer_add(self->writer, operator_name, table, batch, &error);
  Py_END_ALLOW_THREADS
  martlet_batch_release(batch);
  return status == MARTLET_OK ? Py_NewRef(Py_None) : raised((PyObject *)self, status, &error);
}

static PyObject *writer_finish(writer_object *self, PyObject *unused) {
  (void)unused;
  martlet_error error;
  int32_t status;
  Py_BEGIN_ALLOW_THREADS
  status = martlet_state_writer_finish(self->writer, &error);
  Py_END_ALLOW_THREADS
  return status == MARTLET_OK ? Py_NewRef(Py_None) : raised((PyObject *)self, status, &error);
}

static PyMethodDef writer_methods[] = {
  {"add", (PyCFunction)writer_add, METH_VARARGS, "add(operator or None, table, batch): rows of a table."},
  {"finish", (PyCFunction)writer_finish, METH_NOARGS, "Writes the savepoint."},
  {NULL, NULL, 0, NULL}};

static PyType_Slot writer_slots[] = {
  {Py_tp_doc, "StateWriter(path, job): state for a job that is built like this one, which has not begun."},
  {Py_tp_new, writer_create},
  {Py_tp_dealloc, writer_dealloc},
  {Py_tp_methods, writer_methods},
  {0, NULL}};

static PyType_Spec writer_spec = {.name = "martlet._engine.StateWriter",
                                  .basicsize = sizeof(writer_object),
                                  .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
                                  .slots = writer_slots};

static int add_type(PyObject *module, PyType_Spec *spec, PyTypeObject **kept) {
  PyTypeObject *type = (PyTypeObject *)PyType_FromModuleAndSpec(module, spec, NULL);
  if (!type) return -1;
  int result = PyModule_AddType(module, type);
  if (kept && result == 0) *kept = type;
  else Py_DECREF(type);
  return result;
}

int state_files_init(PyObject *module, engine_state *st) {
  return add_type(module, &reader_spec, NULL) < 0 || add_type(module, &rows_spec, &st->state_rows_type) < 0
           ? -1
           : add_type(module, &writer_spec, NULL);
}
