#include "state_dir.h"

#include "batch.h"
#include "errors.h"

typedef struct state_dir_object {
  PyObject_HEAD martlet_state_dir *dir; /* NULL once closed */
} state_dir_object;

/* ---- opening ------------------------------------------------------------------------------------------ */

static PyObject *state_dir_create(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
  static const char *const keywords[] = {"path", "backend", "retained", "memory_limit", "store_path", NULL};
  const char *path;
  long long retained, memory_limit;
  martlet_state_dir_options options = {.struct_size = sizeof options};
  martlet_error error;
  if (!PyArg_ParseTupleAndKeywords(args, kwargs, "siLLz", (char **)(void *)keywords, &path, &options.backend, &retained,
                                   &memory_limit, &options.store_path))
    return NULL;
  options.retained = retained;
  options.memory_limit = memory_limit;
  state_dir_object *self = (state_dir_object *)type->tp_alloc(type, 0);
  if (!self) return NULL;
  int32_t status;
  Py_BEGIN_ALLOW_THREADS
  status = martlet_state_dir_open(path, &options, &self->dir, &error);
  Py_END_ALLOW_THREADS
  if (status == MARTLET_OK) return (PyObject *)self;
  self->dir = NULL;
  errors_raise(PyType_GetModuleState(type), status, &error);
  Py_DECREF(self);
  return NULL;
}

static PyObject *state_dir_close(state_dir_object *self, PyObject *unused) {
  (void)unused;
  martlet_state_dir *dir = self->dir;
  self->dir = NULL;
  Py_BEGIN_ALLOW_THREADS
  martlet_state_dir_free(dir);
  Py_END_ALLOW_THREADS
  Py_RETURN_NONE;
}

static void state_dir_dealloc(state_dir_object *self) {
  martlet_state_dir_free(self->dir);
  free_object((PyObject *)self);
}

/* ClosedError once it is closed. 0 or -1. */
static int check_open(state_dir_object *self) {
  if (self->dir) return 0;
  PyErr_SetString(errors_class(state_of((PyObject *)self), MARTLET_CLOSED), "the state directory is closed");
  return -1;
}

static job_object *job_of(state_dir_object *self, PyObject *object) {
  if (!Py_IS_TYPE(object, state_of((PyObject *)self)->job_type)) {
    PyErr_Format(PyExc_TypeError, "expected a Job, got %s", Py_TYPE(object)->tp_name);
    return NULL;
  }
  return check_open(self) < 0 || job_check_usable((job_object *)object) < 0 ? NULL : (job_object *)object;
}

/* ---- checkpoints of a job ----------------------------------------------------------------------------- */

/* A tuple of (operator, state or None). NULL with an exception. */
static martlet_forgotten *read_forgotten(PyObject *names, martlet_resume_options *options) {
  Py_ssize_t n = PyTuple_GET_SIZE(names);
  martlet_forgotten *list = PyMem_Calloc((size_t)n + 1, sizeof *list);
  if (!list) PyErr_NoMemory();
  for (Py_ssize_t i = 0; list && i < n; i++) {
    if (!PyArg_ParseTuple(PyTuple_GET_ITEM(names, i), "sz", &list[i].operator_name, &list[i].state)) {
      PyMem_Free(list);
      return NULL;
    }
  }
  *options = (martlet_resume_options){.struct_size = sizeof *options, .forgotten = list, .n_forgotten = n};
  return list;
}

static PyObject *state_dir_attach(state_dir_object *self, PyObject *args) {
  PyObject *object, *names;
  const char *from;
  job_object *job;
  char damaged[4096] = "";
  int64_t id = 0;
  martlet_resume_options options;
  martlet_error error;
  if (!PyArg_ParseTuple(args, "OzO!", &object, &from, &PyTuple_Type, &names) || !(job = job_of(self, object)))
    return NULL;
  martlet_forgotten *forgotten = read_forgotten(names, &options);
  if (!forgotten) return NULL;
  job_release_gil(job);
  int32_t status = martlet_state_dir_attach(self->dir, job->job, from, &options, &id, damaged, sizeof damaged, &error);
  job_take_gil(job);
  PyMem_Free(forgotten);
  PyObject *result = NULL;
  if (status != MARTLET_OK) job_raise(job, status, &error);
  else {
    PyObject *text = PyUnicode_DecodeUTF8(damaged, (Py_ssize_t)strlen(damaged), "replace");
    result = text ? Py_BuildValue("(LN)", (long long)id, text) : NULL;
  }
  Py_DECREF(job);
  return result;
}

static PyObject *state_dir_sink(state_dir_object *self, PyObject *unused) {
  (void)unused;
  size_t length = 0;
  if (check_open(self) < 0) return NULL;
  const uint8_t *bytes = martlet_state_dir_sink(self->dir, &length);
  return PyBytes_FromStringAndSize((const char *)bytes, bytes ? (Py_ssize_t)length : 0);
}

static PyObject *state_dir_next_id(state_dir_object *self, PyObject *unused) {
  (void)unused;
  return check_open(self) < 0 ? NULL : PyLong_FromLongLong(martlet_state_dir_next_id(self->dir));
}

static PyObject *state_dir_begin(state_dir_object *self, PyObject *args) {
  PyObject *object;
  long long id;
  const char *sink;
  Py_ssize_t length;
  job_object *job;
  martlet_error error;
  if (!PyArg_ParseTuple(args, "OLy#", &object, &id, &sink, &length) || !(job = job_of(self, object))) return NULL;
  job_release_gil(job);
  int32_t status =
    martlet_state_dir_begin(self->dir, job->job, id, (const uint8_t *)sink, (size_t)length, &error);
  job_take_gil(job);
  if (status != MARTLET_OK) job_raise(job, status, &error);
  Py_DECREF(job);
  return status == MARTLET_OK ? Py_NewRef(Py_None) : NULL;
}

static PyObject *state_dir_finish(state_dir_object *self, PyObject *args) {
  PyObject *object;
  int wait;
  int32_t done = 0;
  job_object *job;
  martlet_error error;
  if (!PyArg_ParseTuple(args, "Op", &object, &wait) || !(job = job_of(self, object))) return NULL;
  job_release_gil(job);
  int32_t status = martlet_state_dir_finish(self->dir, job->job, wait, &done, &error);
  job_take_gil(job);
  if (status != MARTLET_OK) job_raise(job, status, &error);
  Py_DECREF(job);
  return status == MARTLET_OK ? PyBool_FromLong(done) : NULL;
}

/* ---- methods of Job ----------------------------------------------------------------------------------- */

/* From any thread, also while it runs. */
PyObject *job_pause(job_object *self, PyObject *unused) {
  (void)unused;
  if (self->job) martlet_job_pause(self->job);
  Py_RETURN_NONE;
}

PyObject *job_is_paused(job_object *self, PyObject *unused) {
  (void)unused;
  return job_check_usable(self) < 0 ? NULL : PyBool_FromLong(martlet_job_is_paused(self->job));
}

PyObject *job_stay_open(job_object *self, PyObject *unused) {
  (void)unused;
  if (job_check_usable(self) < 0) return NULL;
  martlet_job_stay_open(self->job);
  Py_RETURN_NONE;
}

PyObject *job_take(job_object *self, PyObject *args) {
  long long output = 0;
  martlet_batch *batch = NULL;
  martlet_error error;
  if (!PyArg_ParseTuple(args, "|L", &output) || job_check_usable(self) < 0) return NULL;
  job_release_gil(self);
  int32_t status = martlet_job_take(self->job, output, &batch, &error);
  job_take_gil(self);
  PyObject *result = NULL;
  if (status != MARTLET_OK) job_raise(self, status, &error);
  else result = batch ? batch_new(state_of((PyObject *)self), batch, NULL) : Py_NewRef(Py_None);
  Py_DECREF(self);
  return result;
}

PyObject *job_save(job_object *self, PyObject *args) {
  const char *path, *sink;
  long long id;
  Py_ssize_t length;
  martlet_error error;
  if (!PyArg_ParseTuple(args, "sLy#", &path, &id, &sink, &length) || job_check_usable(self) < 0) return NULL;
  job_release_gil(self);
  int32_t status = martlet_job_savepoint(self->job, path, id, (const uint8_t *)sink, (size_t)length, &error);
  job_take_gil(self);
  if (status != MARTLET_OK) job_raise(self, status, &error);
  Py_DECREF(self);
  return status == MARTLET_OK ? Py_NewRef(Py_None) : NULL;
}

/* ---- the type ----------------------------------------------------------------------------------------- */

static PyMethodDef state_dir_methods[] = {
  {"attach", (PyCFunction)state_dir_attach, METH_VARARGS,
   "attach(job, start, forgotten): keeps the state of a job that has not begun, which goes on from the newest checkpoint, else "
   "from the folder `start`. Gives (number of the checkpoint or 0, what is wrong with newer ones)."},
  {"sink", (PyCFunction)state_dir_sink, METH_NOARGS, "What begin() was given for the checkpoint that the job went on from."},
  {"next_id", (PyCFunction)state_dir_next_id, METH_NOARGS, "The least number that no checkpoint has had."},
  {"begin", (PyCFunction)state_dir_begin, METH_VARARGS,
   "begin(job, id, sink): takes a checkpoint; it is written while the job goes on."},
  {"finish", (PyCFunction)state_dir_finish, METH_VARARGS,
   "finish(job, wait): whether the checkpoint that was begun is durable."},
  {"close", (PyCFunction)state_dir_close, METH_NOARGS, "Gives the directory up."},
  {NULL, NULL, 0, NULL}};

static PyType_Slot state_dir_slots[] = {
  {Py_tp_doc, "StateDir(path, backend, retained, memory_limit, store_path): the directory of a durable job, locked."},
  {Py_tp_new, state_dir_create},
  {Py_tp_dealloc, state_dir_dealloc},
  {Py_tp_methods, state_dir_methods},
  {0, NULL}};

static PyType_Spec state_dir_spec = {.name = "martlet._engine.StateDir",
                                     .basicsize = sizeof(state_dir_object),
                                     .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
                                     .slots = state_dir_slots};

int state_dir_init(PyObject *module, engine_state *st) {
  (void)st;
  PyTypeObject *type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &state_dir_spec, NULL);
  if (!type) return -1;
  int result = PyModule_AddType(module, type);
  Py_DECREF(type);
  return result;
}
