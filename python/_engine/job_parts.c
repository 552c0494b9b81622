#include "job_parts.h"

#include "arrow.h"
#include "errors.h"
#include "operator.h"
#include "schema.h"
#include "source.h"

/* ---- sources ------------------------------------------------------------------------------------------ */

static int stream_options(PyObject *name, PyObject *timestamp, long long bound, long long idle_ms, int is_live,
                          martlet_stream_options *out) {
  *out = (martlet_stream_options){
    .struct_size = sizeof *out, .max_out_of_orderness = bound, .idle_timeout = idle_ms, .live = is_live};
  if (!(out->name = PyUnicode_AsUTF8(name))) return -1;
  return timestamp == Py_None || (out->timestamp = PyUnicode_AsUTF8(timestamp)) ? 0 : -1;
}

PyObject *job_add_source(job_object *self, PyObject *args) {
  engine_state *st = state_of((PyObject *)self);
  PyObject *name, *timestamp, *items, *declared, *places = Py_None, *reading = Py_None;
  long long bound, idle_ms;
  int all_rows, is_live;
  martlet_stream_options options;
  martlet_error error;
  if (job_check_usable(self) < 0 ||
      !PyArg_ParseTuple(args, "UOLLpOpO|OO", &name, &timestamp, &bound, &idle_ms, &is_live, &items, &all_rows, &declared,
                        &places, &reading) ||
      stream_options(name, timestamp, bound, idle_ms, is_live, &options) < 0)
    return NULL;
  source_object *source = source_new(st, self, name, items, all_rows, declared, places, reading);
  if (!source) return NULL;
  int result = PyList_Append(self->parts, (PyObject *)source);
  Py_DECREF(source);
  if (result < 0) return NULL;
  martlet_source callbacks = source_callbacks(source);
  int32_t status = martlet_job_add_source(self->job, &callbacks, &options, &error);
  if (status == MARTLET_OK) Py_RETURN_NONE;
  errors_raise(st, status, &error);
  return NULL;
}

PyObject *job_add_arrow_stream(job_object *self, PyObject *args) {
  engine_state *st = state_of((PyObject *)self);
  PyObject *name, *timestamp, *object;
  long long bound, idle_ms;
  int is_live, is_replayable = 0;
  struct ArrowArrayStream stream;
  martlet_stream_options options;
  martlet_error error;
  if (job_check_usable(self) < 0 ||
      !PyArg_ParseTuple(args, "UOLLpO|p", &name, &timestamp, &bound, &idle_ms, &is_live, &object, &is_replayable) ||
      stream_options(name, timestamp, bound, idle_ms, is_live, &options) < 0 ||
      arrow_take_stream(st, object, &stream) < 0)
    return NULL;
  options.replayable = is_replayable;
  int32_t status = martlet_job_add_arrow_stream(self->job, &stream, &options, &error);
  if (status == MARTLET_OK) Py_RETURN_NONE;
  errors_raise(st, status, &error);
  return NULL;
}

/* ---- operators ---------------------------------------------------------------------------------------- */

/* What the options of an operator borrow while it is added. */
typedef struct operator_options {
  martlet_process_options options;
  const char **keys[2]; /* of the left and right input */
  martlet_input inputs[2];
  martlet_state_spec *states;
  struct ArrowSchema *side_schemas;
  martlet_side_output *sides;
  struct ArrowSchema output;
} operator_options;

static void options_free(operator_options *self) {
  for (int64_t i = 0; self->side_schemas && i < self->options.n_side_outputs; i++)
    arrow_schema_release(&self->side_schemas[i]);
  arrow_schema_release(&self->output);
  PyMem_Free(self->side_schemas);
  PyMem_Free(self->sides);
  PyMem_Free(self->states);
  PyMem_Free((void *)self->keys[0]);
  PyMem_Free((void *)self->keys[1]);
}

/* At least one element, so that there is an address. NULL with MemoryError. */
static void *array_of(Py_ssize_t n, size_t size) {
  void *array = PyMem_Calloc((size_t)n + 1, size);
  if (!array) PyErr_NoMemory();
  return array;
}

/* A tuple of column names. 0 or -1. */
static int read_key(PyObject *columns, const char ***names, int64_t *n_names) {
  if (!PyTuple_Check(columns)) {
    PyErr_Format(PyExc_TypeError, "expected a tuple of column names, got %s", Py_TYPE(columns)->tp_name);
    return -1;
  }
  Py_ssize_t n = PyTuple_GET_SIZE(columns);
  if (!(*names = array_of(n, sizeof **names))) return -1;
  for (Py_ssize_t i = 0; i < n; i++)
    if (!((*names)[i] = PyUnicode_AsUTF8(PyTuple_GET_ITEM(columns, i)))) return -1;
  *n_names = n;
  return 0;
}

/* A tuple of (source, process, tag), and a tuple of the keys of each. 0 or -1. */
static int read_inputs(operator_options *self, PyObject *inputs, PyObject *keys) {
  martlet_process_options *options = &self->options;
  Py_ssize_t n = PyTuple_GET_SIZE(inputs);
  if (n < 1 || n > 2 || PyTuple_GET_SIZE(keys) != n) {
    PyErr_SetString(PyExc_TypeError, "an operator has one or two inputs, and a key for each");
    return -1;
  }
  for (Py_ssize_t i = 0; i < n; i++) {
    long long source, process;
    if (!PyArg_ParseTuple(PyTuple_GET_ITEM(inputs, i), "LLz", &source, &process, &self->inputs[i].tag)) return -1;
    self->inputs[i].source = source;
    self->inputs[i].process = process;
  }
  options->inputs = self->inputs;
  options->n_inputs = n;
  if (read_key(PyTuple_GET_ITEM(keys, 0), &self->keys[0], &options->n_key_columns) < 0) return -1;
  options->key_columns = self->keys[0];
  if (n == 2) {
    if (read_key(PyTuple_GET_ITEM(keys, 1), &self->keys[1], &options->n_right_key_columns) < 0) return -1;
    options->right_key_columns = self->keys[1];
  }
  return 0;
}

/* The engine's states; further handles stand behind them and declare nothing. 0 or -1. */
static int read_states(operator_options *self, operator_object *operator, Py_ssize_t n) {
  if (!(self->states = array_of(n, sizeof *self->states))) return -1;
  for (Py_ssize_t i = 0; i < n; i++)
    if (state_spec(operator->states[i], &self->states[i]) < 0) return -1;
  self->options.states = self->states;
  self->options.n_states = n;
  return 0;
}

/* A tuple of (tag, schema). 0 or -1. */
static int read_sides(engine_state *st, operator_options *self, PyObject *sides) {
  Py_ssize_t n = PyTuple_GET_SIZE(sides);
  if (!(self->side_schemas = array_of(n, sizeof *self->side_schemas)) ||
      !(self->sides = array_of(n, sizeof *self->sides)))
    return -1;
  self->options.side_outputs = self->sides;
  self->options.n_side_outputs = n;
  for (Py_ssize_t i = 0; i < n; i++) {
    PyObject *type;
    if (!PyArg_ParseTuple(PyTuple_GET_ITEM(sides, i), "sO", &self->sides[i].tag, &type) ||
        schema_from_python(st, type, &self->side_schemas[i]) < 0)
      return -1;
    self->sides[i].schema = &self->side_schemas[i];
  }
  return 0;
}

PyObject *job_add_process(job_object *self, PyObject *args) {
  engine_state *st = state_of((PyObject *)self);
  PyObject *name, *target, *methods, *keys, *states, *output, *sides, *inputs, *aliases;
  operator_options parts = {.options = {.struct_size = sizeof parts.options}};
  martlet_error error;
  if (job_check_usable(self) < 0 ||
      !PyArg_ParseTuple(args, "UOO!O!O!OO!iO!O!", &name, &target, &PyTuple_Type, &methods, &PyTuple_Type, &keys,
                        &PyTuple_Type, &states, &output, &PyTuple_Type, &sides, &parts.options.kind, &PyTuple_Type,
                        &inputs, &PyTuple_Type, &aliases))
    return NULL;
  int result = -1;
  operator_object *operator =
    operator_new(st, self, parts.options.kind, name, target, methods, states, aliases);
  if (!operator || !(parts.options.name = PyUnicode_AsUTF8(name)) || read_inputs(&parts, inputs, keys) < 0 ||
      read_states(&parts, operator, PyTuple_GET_SIZE(states)) < 0 || read_sides(st, &parts, sides) < 0 ||
      (output != Py_None && schema_from_python(st, output, &parts.output) < 0) ||
      PyList_Append(self->parts, (PyObject *)operator) < 0)
    goto done;
  parts.options.output_schema = parts.output.release ? &parts.output : NULL;
  martlet_process_function callbacks = operator_callbacks(operator);
  int32_t status = martlet_job_add_process(self->job, &callbacks, &parts.options, &error);
  result = status == MARTLET_OK ? 0 : errors_raise(st, status, &error);
done:
  options_free(&parts);
  Py_XDECREF(operator);
  return result < 0 ? NULL : Py_NewRef(Py_None);
}
