#include "schema.h"

#include "arrow.h"
#include "errors.h"
#include "schema_pickle.h"

PyObject *schema_column_names(const martlet_column *columns, int64_t n) {
  PyObject *names = PyTuple_New((Py_ssize_t)n);
  for (int64_t i = 0; names && i < n; i++) {
    PyObject *name = PyUnicode_FromString(columns[i].name);
    if (!name) {
      Py_DECREF(names);
      return NULL;
    }
    PyUnicode_InternInPlace(&name);
    PyTuple_SET_ITEM(names, (Py_ssize_t)i, name);
  }
  return names;
}

PyObject *schema_name_index(PyObject *names) {
  PyObject *index = PyDict_New();
  for (Py_ssize_t i = PyTuple_GET_SIZE(names) - 1; index && i >= 0; i--) {
    PyObject *position = PyLong_FromSsize_t(i);
    if (!position || PyDict_SetItem(index, PyTuple_GET_ITEM(names, i), position) < 0) Py_CLEAR(index);
    Py_XDECREF(position);
  }
  return index;
}

/* Names and type names as the engine spells them: it reads the schema for a builder that is never used. */
static int describe(engine_state *st, schema_object *self) {
  struct ArrowSchema copy;
  martlet_builder *builder;
  martlet_error error;
  if (arrow_schema_copy(&self->schema, &copy) < 0) return -1;
  int32_t status = martlet_builder_create(&copy, &builder, &error);
  if (status != MARTLET_OK) return errors_raise(st, status, &error);
  int64_t n = self->schema.n_children;
  self->names = PyTuple_New((Py_ssize_t)n);
  self->types = PyTuple_New((Py_ssize_t)n);
  int result = self->names && self->types ? 0 : -1;
  for (int64_t i = 0; result == 0 && i < n; i++) {
    const martlet_column *field = martlet_appender_field(martlet_builder_appender(builder, i));
    PyObject *name = PyUnicode_FromString(field->name);
    PyObject *type = PyUnicode_FromString(field->type_name);
    if (name) PyUnicode_InternInPlace(&name);
    if (!name || !type) result = -1;
    PyTuple_SET_ITEM(self->names, (Py_ssize_t)i, name);
    PyTuple_SET_ITEM(self->types, (Py_ssize_t)i, type);
  }
  martlet_builder_free(builder);
  return result;
}

PyObject *schema_new(engine_state *st, struct ArrowSchema *schema) {
  schema_object *self = (schema_object *)st->schema_type->tp_alloc(st->schema_type, 0);
  if (!self) {
    arrow_schema_release(schema);
    return NULL;
  }
  self->schema = *schema;
  schema->release = NULL;
  if (describe(st, self) < 0) Py_CLEAR(self);
  return (PyObject *)self;
}

static int fields_from_mapping(engine_state *st, PyObject *mapping, struct ArrowSchema *out) {
  PyObject *items = PyMapping_Items(mapping);
  if (!items) return -1;
  int result = arrow_schema_init(out, "+s", "", 0, PyList_GET_SIZE(items));
  if (result == 0) {
    for (int64_t i = 0; result == 0 && i < out->n_children; i++) {
      const char *name;
      PyObject *dtype, *spec = NULL;
      if (!PyArg_ParseTuple(PyList_GET_ITEM(items, (Py_ssize_t)i), "sO", &name, &dtype)) result = -1;
      else if (!(spec = PyObject_CallOneArg(st->type_spec, dtype))) result = -1;
      else result = arrow_schema_from_spec(st, spec, name, out->children[i]);
      Py_XDECREF(spec);
    }
    if (result < 0) arrow_schema_release(out);
  }
  Py_DECREF(items);
  return result;
}

int schema_from_python(engine_state *st, PyObject *declared, struct ArrowSchema *out) {
  if (arrow_has(declared, st->arrow_c_schema)) {
    if (arrow_take_schema(st, declared, out) < 0) return -1;
    if (!strcmp(out->format, "+s")) return 0;
    PyErr_Format(
      errors_class(st, MARTLET_INVALID_ARGUMENT),
      "a schema is a struct of columns, got an Arrow type of format '%s'; use a schema or a mapping name -> type",
      out->format);
    arrow_schema_release(out);
    return -1;
  }
  if (PyMapping_Check(declared) && PyObject_HasAttrString(declared, "items"))
    return fields_from_mapping(st, declared, out);
  PyErr_Format(errors_class(st, MARTLET_INVALID_ARGUMENT), "expected a mapping name -> type or an Arrow schema, got %s",
               Py_TYPE(declared)->tp_name);
  return -1;
}

static PyObject *schema_create(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
  static const char *const keywords[] = {"fields", NULL};
  PyObject *declared;
  struct ArrowSchema schema;
  engine_state *st = PyType_GetModuleState(type);
  if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O", (char **)(void *)keywords, &declared)) return NULL;
  return schema_from_python(st, declared, &schema) < 0 ? NULL : schema_new(st, &schema);
}

static void schema_dealloc(schema_object *self) {
  arrow_schema_release(&self->schema);
  Py_XDECREF(self->names);
  Py_XDECREF(self->types);
  free_object((PyObject *)self);
}

static PyObject *schema_repr(schema_object *self) {
  PyObject *parts = PyList_New(0), *separator = PyUnicode_FromString(", ");
  for (Py_ssize_t i = 0; parts && i < PyTuple_GET_SIZE(self->names); i++) {
    PyObject *part = PyUnicode_FromFormat("%U: %U", PyTuple_GET_ITEM(self->names, i), PyTuple_GET_ITEM(self->types, i));
    if (!part || PyList_Append(parts, part) < 0) Py_CLEAR(parts);
    Py_XDECREF(part);
  }
  PyObject *text = parts && separator ? PyUnicode_Join(separator, parts) : NULL;
  PyObject *result = text ? PyUnicode_FromFormat("Schema(%U)", text) : NULL;
  Py_XDECREF(parts);
  Py_XDECREF(separator);
  Py_XDECREF(text);
  return result;
}

static PyObject *schema_compare(PyObject *left, PyObject *right, int operation) {
  if ((operation != Py_EQ && operation != Py_NE) || Py_TYPE(left) != Py_TYPE(right)) Py_RETURN_NOTIMPLEMENTED;
  schema_object *a = (schema_object *)left, *b = (schema_object *)right;
  int equal = PyObject_RichCompareBool(a->names, b->names, Py_EQ);
  if (equal == 1) equal = PyObject_RichCompareBool(a->types, b->types, Py_EQ);
  return equal < 0 ? NULL : PyBool_FromLong(operation == Py_EQ ? equal : !equal);
}

static Py_hash_t schema_hash(schema_object *self) {
  Py_hash_t names = PyObject_Hash(self->names), types = PyObject_Hash(self->types);
  if (names == -1 || types == -1) return -1;
  Py_hash_t hash = names ^ (Py_hash_t)((size_t)types * 1000003);
  return hash == -1 ? -2 : hash;
}

static PyObject *schema_names(schema_object *self, void *unused) {
  (void)unused;
  return Py_NewRef(self->names);
}

static PyObject *schema_types(schema_object *self, void *unused) {
  (void)unused;
  return Py_NewRef(self->types);
}

static PyObject *schema_fields(schema_object *self, void *unused) {
  (void)unused;
  PyObject *fields = PyTuple_New(PyTuple_GET_SIZE(self->names));
  for (Py_ssize_t i = 0; fields && i < PyTuple_GET_SIZE(self->names); i++) {
    PyObject *field = PyTuple_Pack(2, PyTuple_GET_ITEM(self->names, i), PyTuple_GET_ITEM(self->types, i));
    if (!field) Py_CLEAR(fields);
    else PyTuple_SET_ITEM(fields, i, field);
  }
  return fields;
}

static PyObject *schema_export(schema_object *self, PyObject *unused) {
  (void)unused;
  struct ArrowSchema copy;
  return arrow_schema_copy(&self->schema, &copy) < 0 ? NULL : arrow_schema_capsule(&copy);
}

static Py_ssize_t schema_length(schema_object *self) { return PyTuple_GET_SIZE(self->names); }

static PyGetSetDef schema_getset[] = {
  {"names", (getter)schema_names, NULL, "Column names, in order.", NULL},
  {"types", (getter)schema_types, NULL, "Arrow type names, in order, such as 'int64' or 'timestamp[ms, UTC]'.", NULL},
  {"fields", (getter)schema_fields, NULL, "(name, type name) pairs, in order.", NULL},
  {NULL, NULL, NULL, NULL, NULL}};

static PyMethodDef schema_methods[] = {
  {"__arrow_c_schema__", (PyCFunction)schema_export, METH_NOARGS, "The schema as an Arrow capsule."},
  {"__reduce__", (PyCFunction)schema_reduce, METH_NOARGS, NULL},
  {"_rebuild", (PyCFunction)schema_rebuild, METH_O | METH_CLASS, NULL},
  {NULL, NULL, 0, NULL}};

static PyType_Slot schema_slots[] = {{Py_tp_doc,
                                      "Names and types of the columns of a batch or a stream.\n\nSchema(fields): a "
                                      "mapping name -> type, or any object with __arrow_c_schema__."},
                                     {Py_tp_new, schema_create},
                                     {Py_tp_dealloc, schema_dealloc},
                                     {Py_tp_repr, schema_repr},
                                     {Py_tp_richcompare, schema_compare},
                                     {Py_tp_hash, schema_hash},
                                     {Py_tp_getset, schema_getset},
                                     {Py_tp_methods, schema_methods},
                                     {Py_sq_length, schema_length},
                                     {0, NULL}};

static PyType_Spec schema_spec = {.name = "martlet._engine.Schema",
                                  .basicsize = sizeof(schema_object),
                                  .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
                                  .slots = schema_slots};

int schema_init(PyObject *module, engine_state *st) {
  st->schema_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &schema_spec, NULL);
  return st->schema_type ? PyModule_AddType(module, st->schema_type) : -1;
}
