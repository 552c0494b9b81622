/* A node of an Arrow schema as (format, name, flags, metadata, children, dictionary): bytes or None, a tuple of nodes, a node
 * or None. */
#include "schema_pickle.h"

#include <stdlib.h>

#include "arrow.h"

enum { DEEPEST = 64 };

static PyObject *node_of(const struct ArrowSchema *schema) {
  PyObject *children = PyTuple_New((Py_ssize_t)schema->n_children);
  for (int64_t i = 0; children && i < schema->n_children; i++) {
    PyObject *child = node_of(schema->children[i]);
    if (!child) Py_CLEAR(children);
    else PyTuple_SET_ITEM(children, (Py_ssize_t)i, child);
  }
  PyObject *dictionary = schema->dictionary ? node_of(schema->dictionary) : Py_NewRef(Py_None);
  PyObject *metadata =
    schema->metadata
      ? PyBytes_FromStringAndSize(schema->metadata, (Py_ssize_t)arrow_metadata_size(schema->metadata))
      : Py_NewRef(Py_None);
  if (children && dictionary && metadata)
    return Py_BuildValue("(ssLNNN)", schema->format, schema->name ? schema->name : "", (long long)schema->flags,
                         metadata, children, dictionary);
  Py_XDECREF(children);
  Py_XDECREF(dictionary);
  Py_XDECREF(metadata);
  return NULL;
}

/* 0, or -1 with nothing to release. */
static int schema_of(PyObject *node, struct ArrowSchema *out, int depth) {
  const char *format, *name;
  long long flags;
  PyObject *metadata, *children, *dictionary;
  if (depth > DEEPEST || !PyTuple_Check(node)) {
    PyErr_SetString(PyExc_ValueError, "not the pickled form of a Schema");
    return -1;
  }
  if (!PyArg_ParseTuple(node, "ssLOO!O", &format, &name, &flags, &metadata, &PyTuple_Type, &children, &dictionary) ||
      arrow_schema_init(out, format, name, flags, PyTuple_GET_SIZE(children)) < 0)
    return -1;
  for (int64_t i = 0; i < out->n_children; i++)
    if (schema_of(PyTuple_GET_ITEM(children, (Py_ssize_t)i), out->children[i], depth + 1) < 0) goto fail;
  if (dictionary != Py_None) {
    if (!(out->dictionary = calloc(1, sizeof *out->dictionary))) goto no_memory;
    if (schema_of(dictionary, out->dictionary, depth + 1) < 0) goto fail;
  }
  if (metadata != Py_None) {
    char *bytes, *copy;
    Py_ssize_t length;
    if (PyBytes_AsStringAndSize(metadata, &bytes, &length) < 0) goto fail;
    if (!(copy = malloc((size_t)length + 1))) goto no_memory;
    out->metadata = memcpy(copy, bytes, (size_t)length);
  }
  return 0;
no_memory:
  PyErr_NoMemory();
fail:
  arrow_schema_release(out);
  return -1;
}

PyObject *schema_reduce(schema_object *self, PyObject *unused) {
  (void)unused;
  PyObject *rebuild = PyObject_GetAttrString((PyObject *)self, "_rebuild");
  PyObject *node = rebuild ? node_of(&self->schema) : NULL;
  if (node) return Py_BuildValue("N(N)", rebuild, node);
  Py_XDECREF(rebuild);
  return NULL;
}

PyObject *schema_rebuild(PyTypeObject *type, PyObject *node) {
  struct ArrowSchema schema;
  return schema_of(node, &schema, 0) < 0 ? NULL : schema_new(PyType_GetModuleState(type), &schema);
}
