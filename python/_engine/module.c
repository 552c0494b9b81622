/* module.c: the module `martlet._engine`. */
#include "batch.h"
#include "clock.h"
#include "column.h"
#include "context.h"
#include "engine.h"
#include "errors.h"
#include "export.h"
#include "harness.h"
#include "job.h"
#include "operator.h"
#include "record.h"
#include "schema.h"
#include "source.h"
#include "state.h"
#include "state_dir.h"
#include "state_files.h"
#include "temporal.h"
#include "timers.h"
#include "values.h"

static PyObject *attribute_of(const char *module_name, const char *name) {
  PyObject *module = PyImport_ImportModule(module_name);
  PyObject *attribute = module ? PyObject_GetAttrString(module, name) : NULL;
  Py_XDECREF(module);
  return attribute;
}

/* Before anything else of the library is called: a library of another version would be called with the wrong structs.
 */
static int check_version(PyObject *module) {
  uint32_t version = martlet_abi_version();
  if (version != MARTLET_ABI_VERSION) {
    PyErr_Format(PyExc_ImportError,
                 "the extension martlet._engine was compiled for interface version %d, the engine library has version "
                 "%u; reinstall martlet",
                 MARTLET_ABI_VERSION, version);
    return -1;
  }
  if (PyModule_AddStringConstant(module, "rocksdb_version", martlet_rocksdb_version()) < 0) return -1;
  return PyModule_AddStringConstant(module, "version", martlet_version());
}

static int init_names(engine_state *st) {
  st->arrow_c_array = PyUnicode_InternFromString("__arrow_c_array__");
  st->arrow_c_stream = PyUnicode_InternFromString("__arrow_c_stream__");
  st->arrow_c_schema = PyUnicode_InternFromString("__arrow_c_schema__");
  st->operator_str = PyUnicode_InternFromString("operator");
  st->record_str = PyUnicode_InternFromString("record");
  st->key_str = PyUnicode_InternFromString("key");
  st->left_str = PyUnicode_InternFromString("left");
  st->right_str = PyUnicode_InternFromString("right");
  st->zero = PyLong_FromLong(0);
  return st->arrow_c_array && st->arrow_c_stream && st->arrow_c_schema && st->operator_str && st->record_str &&
             st->key_str && st->left_str && st->right_str && st->zero
           ? 0
           : -1;
}

static int module_exec(PyObject *module) {
  engine_state *st = PyModule_GetState(module);
  if (check_version(module) < 0 || init_names(st) < 0 || errors_init(st) < 0 || temporal_init(st) < 0) return -1;
  if (!(st->decimal = attribute_of("decimal", "Decimal")) || !(st->json_dumps = attribute_of("json", "dumps")) ||
      !(st->json_loads = attribute_of("json", "loads")) ||
      !(st->type_spec = attribute_of("martlet.types", "type_spec")) || !(st->as_ttl = attribute_of("martlet.ttl", "as_ttl")))
    return -1;
  if (schema_init(module, st) < 0 || column_init(module, st) < 0 || batch_init(module, st) < 0 ||
      record_init(module, st) < 0 || context_init(module, st) < 0 || state_init(module, st) < 0 ||
      operator_init(module, st) < 0 || source_init(module, st) < 0 || job_init(module, st) < 0 || harness_init(module, st) < 0 ||
      clock_init(module, st) < 0 || timers_init(module, st) < 0 || state_dir_init(module, st) < 0 ||
      state_files_init(module, st) < 0)
    return -1;
  return 0;
}

#define EACH_OBJECT(DO)                                                                                           \
  DO(martlet_error)                                                                                               \
  DO(missing_column_error) DO(state_type_error) DO(schema_type) DO(batch_type) DO(column_type) DO(record_type)    \
    DO(context_type) DO(state_type) DO(operator_type) DO(source_type) DO(job_type) DO(harness_type) DO(clock_type) \
      DO(timer_type) DO(state_rows_type) DO(decimal) DO(timezone) DO(zone_info) DO(zones) DO(type_spec) DO(as_ttl) DO(json_dumps) \
        DO(json_loads) DO(zero) DO(arrow_c_array)              \
        DO(arrow_c_stream) DO(arrow_c_schema) DO(operator_str) DO(record_str) DO(key_str) DO(left_str) DO(right_str)

static int module_traverse(PyObject *module, visitproc visit, void *arg) {
  engine_state *st = PyModule_GetState(module);
#define VISIT(field) Py_VISIT(st->field);
  EACH_OBJECT(VISIT)
#undef VISIT
  for (int i = 0; i < MARTLET_STATUS_COUNT; i++) Py_VISIT(st->status_errors[i]);
  return 0;
}

static int module_clear(PyObject *module) {
  engine_state *st = PyModule_GetState(module);
#define CLEAR(field) Py_CLEAR(st->field);
  EACH_OBJECT(CLEAR)
#undef CLEAR
  for (int i = 0; i < MARTLET_STATUS_COUNT; i++) Py_CLEAR(st->status_errors[i]);
  return 0;
}

static void module_free(void *module) { module_clear((PyObject *)module); }

/* For tests of the encoding on its own: value → bytes → value. */
static PyObject *encode_value(PyObject *module, PyObject *value) {
  engine_state *st = PyModule_GetState(module);
  PyObject *name = PyUnicode_FromString("value"), *bytes = NULL;
  values_buffer buffer;
  values_buffer_init(&buffer);
  if (name && values_encode(st, name, VALUES_ANY, value, &buffer) == 0)
    bytes = PyBytes_FromStringAndSize((char *)buffer.data, (Py_ssize_t)buffer.length);
  values_buffer_free(&buffer);
  Py_XDECREF(name);
  return bytes;
}

static PyObject *decode_value(PyObject *module, PyObject *bytes) {
  char *data;
  Py_ssize_t length;
  if (PyBytes_AsStringAndSize(bytes, &data, &length) < 0) return NULL;
  return values_decode(PyModule_GetState(module), (const uint8_t *)data, (size_t)length);
}

static PyMethodDef module_methods[] = {
  {"export_stream", export_stream, METH_VARARGS,
   "export_stream(schema, batches): an Arrow stream capsule over an iterable of RecordBatch."},
  {"encode_value", encode_value, METH_O, "The bytes that a dynamic state stores for a value (docs/design/values.md)."},
  {"decode_value", decode_value, METH_O, "The value that encode_value wrote."},
  {NULL, NULL, 0, NULL}};

static PyModuleDef_Slot module_slots[] = {{Py_mod_exec, module_exec},
#ifdef Py_mod_multiple_interpreters
                                          {Py_mod_multiple_interpreters, Py_MOD_PER_INTERPRETER_GIL_SUPPORTED},
#endif
                                          {0, NULL}};

static struct PyModuleDef module_definition = {
  .m_base = PyModuleDef_HEAD_INIT,
  .m_name = "martlet._engine",
  .m_doc = "The engine behind martlet: conversion between Python and the C interface, and nothing else.",
  .m_size = sizeof(engine_state),
  .m_methods = module_methods,
  .m_slots = module_slots,
  .m_traverse = module_traverse,
  .m_clear = module_clear,
  .m_free = module_free,
};

PyMODINIT_FUNC PyInit__engine(void) { return PyModuleDef_Init(&module_definition); }
