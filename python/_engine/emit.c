#include "emit.h"

#include "appending.h"
#include "arrow.h"
#include "batch.h"
#include "errors.h"
#include "inference.h"
#include "operator.h"
#include "record.h"
#include "schema.h"

static void plan_free(emit_plan *plan) {
  Py_CLEAR(plan->kwnames);
  Py_CLEAR(plan->record_names);
  PyMem_Free(plan->columns);
  plan->columns = NULL;
}

void emission_end(emission *self) {
  for (int i = 0; i < EMIT_PLANS; i++) plan_free(&self->plans[i]);
  Py_CLEAR(self->names);
  Py_CLEAR(self->index);
  PyMem_Free(self->appenders);
  PyMem_Free((void *)self->fields);
  self->appenders = NULL;
  self->fields = NULL;
  self->output = NULL;
  self->n_columns = -1;
}

void emission_forget_columns(emission *self) {
  martlet_output *output = self->output;
  emission_end(self);
  self->output = output;
}

static int checked(engine_state *st, int32_t status, const martlet_error *error) {
  return status == MARTLET_OK ? 0 : errors_raise(st, status, error);
}

/* ---- the output's columns --------------------------------------------------------------------------- */

/* Reads the output's columns once it has a schema. 1: known, 0: no schema yet, -1: exception. */
static int read_columns(emission *self) {
  if (self->n_columns >= 0) return 1;
  int64_t n = martlet_output_num_columns(self->output);
  if (n < 0) return 0;
  self->appenders = PyMem_Calloc((size_t)n + 1, sizeof *self->appenders);
  self->fields = PyMem_Calloc((size_t)n + 1, sizeof *self->fields);
  self->names = PyTuple_New((Py_ssize_t)n);
  if (!self->appenders || !self->fields || !self->names) {
    if (!PyErr_Occurred()) PyErr_NoMemory();
    return -1;
  }
  for (int64_t i = 0; i < n; i++) {
    self->appenders[i] = martlet_output_appender(self->output, i);
    self->fields[i] = martlet_appender_field(self->appenders[i]);
    PyObject *name = PyUnicode_FromString(self->fields[i]->name);
    if (!name) return -1;
    PyUnicode_InternInPlace(&name);
    PyTuple_SET_ITEM(self->names, (Py_ssize_t)i, name);
  }
  self->index = schema_name_index(self->names);
  if (!self->index) return -1;
  self->n_columns = n;
  return 1;
}

static int64_t find_column(engine_state *st, emission *self, PyObject *name) {
  PyObject *position = PyDict_GetItemWithError(self->index, name);
  if (position) return PyLong_AsLongLong(position);
  if (!PyErr_Occurred())
    PyErr_Format(errors_class(st, MARTLET_SCHEMA_MISMATCH),
                 "emitted a field %R that the output has no column for; its columns are %R", name, self->names);
  return -1;
}

static int declare(engine_state *st, emission *self, struct ArrowSchema *schema) {
  martlet_error error;
  return checked(st, martlet_output_declare(self->output, schema, &error), &error) < 0 ? -1 : read_columns(self);
}

static int infer_field(engine_state *st, inferred *root, PyObject *name, PyObject *value) {
  inferred *field = inferred_field(st, root, name);
  if (!field) return -1;
  PyObject *where = PyUnicode_FromFormat("column '%U'", name);
  const char *text = where ? PyUnicode_AsUTF8(where) : NULL;
  int result = text ? inferred_add(st, field, text, value) : -1;
  Py_XDECREF(where);
  return result;
}

/* ---- rows from fields -------------------------------------------------------------------------------- */

static int append_at(engine_state *st, emission *self, int64_t column, PyObject *value) {
  return append_value(st, self->appenders[column], self->fields[column], value);
}

static int end_row(engine_state *st, emission *self) {
  martlet_error error;
  return checked(st, martlet_output_end_row(self->output, &error), &error);
}

static int declare_from_dict(engine_state *st, emission *self, PyObject *dict) {
  struct ArrowSchema schema;
  PyObject *name, *value;
  Py_ssize_t at = 0;
  int result = 0;
  inferred *root = inferred_new();
  if (!root) return -1;
  while (result == 0 && PyDict_Next(dict, &at, &name, &value)) result = infer_field(st, root, name, value);
  if (result == 0) result = inferred_schema(root, "", &schema);
  inferred_free(root);
  if (result < 0) return -1;
  /* No field at all infers as null; the schema of a batch is a struct. */
  if (!PyDict_GET_SIZE(dict)) {
    arrow_schema_release(&schema);
    if (arrow_schema_init(&schema, "+s", "", 0, 0) < 0) return -1;
  }
  return declare(st, self, &schema) < 0 ? -1 : 0;
}

static int emit_dict(engine_state *st, emission *self, PyObject *dict) {
  PyObject *name, *value;
  Py_ssize_t at = 0, i = 0;
  int known = read_columns(self);
  if (known < 0 || (!known && declare_from_dict(st, self, dict) < 0)) return -1;
  while (PyDict_Next(dict, &at, &name, &value)) {
    /* Dicts made by one piece of code have their fields in the order of the first. */
    int64_t column = i < self->n_columns && PyTuple_GET_ITEM(self->names, i) == name ? i : find_column(st, self, name);
    if (column < 0) return -1;
    /* Converting a value may run its __index__, which could change the dict. */
    Py_INCREF(value);
    int result = append_at(st, self, column, value);
    Py_DECREF(value);
    if (result < 0) return -1;
    i++;
  }
  return end_row(st, self);
}

static int declare_from_fields(engine_state *st, emission *self, record_object *record, PyObject *const *values,
                               PyObject *kwnames) {
  struct ArrowSchema schema, base = {.release = NULL}, fields = {.release = NULL};
  martlet_error error;
  int result = 0;
  inferred *root = inferred_new();
  if (!root) return -1;
  for (Py_ssize_t i = 0; result == 0 && i < PyTuple_GET_SIZE(kwnames); i++)
    result = infer_field(st, root, PyTuple_GET_ITEM(kwnames, i), values[i]);
  if (result == 0) result = inferred_schema(root, "", &fields);
  inferred_free(root);
  if (result == 0 && record)
    result = checked(st, martlet_batch_export_schema(record->rows.batch, &base, &error), &error);
  if (result < 0) goto done;
  /* The record's columns, those that a field replaces with the field's type, then the fields that are new. */
  int64_t n_base = record ? base.n_children : 0, n = n_base;
  for (int64_t i = 0; i < fields.n_children; i++)
    if (!record || !PyDict_Contains(record->rows.index, PyTuple_GET_ITEM(kwnames, (Py_ssize_t)i))) n++;
  if ((result = arrow_schema_init(&schema, "+s", "", 0, n)) < 0) goto done;
  int64_t next = n_base;
  for (int64_t i = 0; result == 0 && i < n_base; i++) result = arrow_schema_copy(base.children[i], schema.children[i]);
  for (int64_t i = 0; result == 0 && i < fields.n_children; i++) {
    PyObject *position =
      record ? PyDict_GetItemWithError(record->rows.index, PyTuple_GET_ITEM(kwnames, (Py_ssize_t)i)) : NULL;
    int64_t at = position ? PyLong_AsLongLong(position) : next++;
    arrow_schema_release(schema.children[at]);
    result = arrow_schema_copy(fields.children[i], schema.children[at]);
  }
  if (result == 0) result = declare(st, self, &schema) < 0 ? -1 : 0;
  else arrow_schema_release(&schema);
done:
  arrow_schema_release(&base);
  arrow_schema_release(&fields);
  return result;
}

static emit_plan *make_plan(engine_state *st, emission *self, record_object *record, PyObject *kwnames) {
  Py_ssize_t n_fields = PyTuple_GET_SIZE(kwnames), n_record = record ? PyTuple_GET_SIZE(record->rows.names) : 0,
             n_copied = 0;
  int64_t *columns = PyMem_Calloc((size_t)(n_fields + 2 * n_record + 1), sizeof *columns);
  if (!columns) {
    PyErr_NoMemory();
    return NULL;
  }
  for (Py_ssize_t i = 0; i < n_fields; i++)
    if ((columns[i] = find_column(st, self, PyTuple_GET_ITEM(kwnames, i))) < 0) goto fail;
  for (Py_ssize_t i = 0; i < n_record; i++) {
    PyObject *name = PyTuple_GET_ITEM(record->rows.names, i);
    int replaced = PySequence_Contains(kwnames, name);
    if (replaced < 0) goto fail;
    if (replaced) continue;
    int64_t column = find_column(st, self, name);
    if (column < 0) goto fail;
    columns[n_fields + 2 * n_copied] = i;
    columns[n_fields + 2 * n_copied++ + 1] = column;
  }
  emit_plan *plan = &self->plans[self->next_plan];
  self->next_plan = (self->next_plan + 1) % EMIT_PLANS;
  plan_free(plan);
  plan->kwnames = Py_NewRef(kwnames);
  plan->record_names = record ? Py_NewRef(record->rows.names) : NULL;
  plan->n_fields = n_fields;
  plan->n_copied = n_copied;
  plan->columns = columns;
  return plan;
fail:
  PyMem_Free(columns);
  return NULL;
}

static int emit_fields(engine_state *st, emission *self, record_object *record, PyObject *const *values,
                       PyObject *kwnames) {
  PyObject *record_names = record ? record->rows.names : NULL;
  emit_plan *plan = NULL;
  for (int i = 0; i < EMIT_PLANS; i++) {
    if (self->plans[i].kwnames == kwnames && self->plans[i].record_names == record_names) {
      plan = &self->plans[i];
      break;
    }
  }
  if (!plan) {
    int known = read_columns(self);
    if (known < 0 || (!known && declare_from_fields(st, self, record, values, kwnames) < 0)) return -1;
    if (!(plan = make_plan(st, self, record, kwnames))) return -1;
  }
  for (Py_ssize_t i = 0; i < plan->n_fields; i++)
    if (append_at(st, self, plan->columns[i], values[i]) < 0) return -1;
  for (Py_ssize_t i = 0; i < plan->n_copied; i++) {
    const int64_t *pair = plan->columns + plan->n_fields + 2 * i;
    martlet_error error;
    int32_t status =
      martlet_append_cell(self->appenders[pair[1]], &record->rows.columns[pair[0]], record->rows.offset, &error);
    if (checked(st, status, &error) < 0) return -1;
  }
  return end_row(st, self);
}

/* ---- whole batches ----------------------------------------------------------------------------------- */

static int emit_imported(engine_state *st, emission *self, struct ArrowArray *array, struct ArrowSchema *schema) {
  martlet_batch *batch;
  martlet_error error;
  if (checked(st, martlet_batch_import(array, schema, &batch, &error), &error) < 0) return -1;
  int result = checked(st, martlet_output_batch(self->output, batch, &error), &error);
  martlet_batch_release(batch);
  return result;
}

static int emit_array(engine_state *st, emission *self, PyObject *value) {
  struct ArrowArray array;
  struct ArrowSchema schema;
  return arrow_take_array(st, value, &array, &schema) < 0 ? -1 : emit_imported(st, self, &array, &schema);
}

static int emit_stream(engine_state *st, emission *self, PyObject *value) {
  struct ArrowArrayStream stream;
  struct ArrowSchema schema = {.release = NULL}, copy;
  if (arrow_take_stream(st, value, &stream) < 0) return -1;
  int result = 0, code = stream.get_schema(&stream, &schema);
  if (code) result = arrow_stream_error(st, &stream, code, "reading the schema of an emitted value");
  while (result == 0) {
    struct ArrowArray array;
    if ((code = stream.get_next(&stream, &array)))
      result = arrow_stream_error(st, &stream, code, "reading an emitted value");
    else if (!array.release) break;
    else if (arrow_schema_copy(&schema, &copy) < 0) {
      array.release(&array);
      result = -1;
    } else result = emit_imported(st, self, &array, &copy);
  }
  arrow_schema_release(&schema);
  stream.release(&stream);
  return result;
}

static int emit_record(engine_state *st, emission *self, record_object *record) {
  martlet_error error;
  return checked(st, martlet_output_row(self->output, record->rows.batch, record->rows.offset, &error), &error);
}

static int emit_rows(engine_state *st, emission *self, const rows *rows) {
  martlet_error error;
  return checked(st, martlet_output_rows(self->output, rows->batch, rows->offset, rows->length, &error), &error);
}

static int emit_value(engine_state *st, emission *self, PyObject *value) {
  if (Py_IS_TYPE(value, st->record_type)) return emit_record(st, self, (record_object *)value);
  if (Py_IS_TYPE(value, st->batch_type)) return emit_rows(st, self, &((batch_object *)value)->rows);
  if (PyDict_Check(value)) return emit_dict(st, self, value);
  if (arrow_has(value, st->arrow_c_array)) return emit_array(st, self, value);
  if (arrow_has(value, st->arrow_c_stream)) return emit_stream(st, self, value);
  PyErr_Format(
    errors_class(st, MARTLET_SCHEMA_MISMATCH),
    "emit() takes a record view, a dict, keyword fields, or an object of the Arrow PyCapsule interface, got %s",
    Py_TYPE(value)->tp_name);
  return -1;
}

PyObject *context_emit(context_object *self, PyObject *const *args, Py_ssize_t n_args, PyObject *kwnames) {
  if (context_check(self, "emit()") < 0) return NULL;
  return emit_through(self, &self->emission, args, n_args, kwnames);
}

PyObject *emit_through(context_object *self, emission *emission, PyObject *const *args, Py_ssize_t n_args,
                       PyObject *kwnames) {
  engine_state *st = self->operator->st;
  int result;
  /* A row is half built while values are converted, which may call a value's own __index__ or __float__. */
  if (emission->running) {
    PyErr_SetString(errors_class(st, MARTLET_BUSY), "emit() was called while a row is being emitted");
    return NULL;
  }
  emission->running = 1;
  Py_ssize_t n_fields = kwnames ? PyTuple_GET_SIZE(kwnames) : 0;
  if (n_args == 0 && n_fields) result = emit_fields(st, emission, NULL, args, kwnames);
  else if (n_args == 1 && !n_fields) result = emit_value(st, emission, args[0]);
  else if (n_args == 1 && Py_IS_TYPE(args[0], st->record_type))
    result = emit_fields(st, emission, (record_object *)args[0], args + 1, kwnames);
  else {
    result = -1;
    PyErr_SetString(PyExc_TypeError, "emit() takes one value, keyword fields, or a record view with keyword fields");
  }
  if (result < 0) {
    PyObject *exception = errors_take();
    if (emission->output) martlet_output_cancel_row(emission->output);
    errors_restore(exception);
    operator_locate_error(self->operator);
  }
  emission->running = 0;
  return result < 0 ? NULL : Py_NewRef(Py_None);
}
