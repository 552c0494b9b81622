#include "arrow.h"

#include <stdlib.h>

#include "errors.h"

static void release_schema(struct ArrowSchema *schema) {
  for (int64_t i = 0; i < schema->n_children; i++) {
    if (!schema->children[i]) continue;
    arrow_schema_release(schema->children[i]);
    free(schema->children[i]);
  }
  if (schema->dictionary) {
    arrow_schema_release(schema->dictionary);
    free(schema->dictionary);
  }
  free(schema->children);
  free((void *)schema->format);
  free((void *)schema->name);
  free((void *)schema->metadata);
  schema->release = NULL;
}

static char *copy_text(const char *text) {
  size_t size = strlen(text) + 1;
  char *copy = malloc(size);
  return copy ? memcpy(copy, text, size) : NULL;
}

int arrow_schema_init(struct ArrowSchema *out, const char *format, const char *name, int64_t flags,
                      int64_t n_children) {
  memset(out, 0, sizeof *out);
  out->release = release_schema;
  out->flags = flags;
  out->format = copy_text(format);
  out->name = copy_text(name ? name : "");
  if (n_children > 0) out->children = calloc((size_t)n_children, sizeof *out->children);
  if (!out->format || !out->name || (n_children > 0 && !out->children)) goto fail;
  for (; out->n_children < n_children; out->n_children++)
    if (!(out->children[out->n_children] = calloc(1, sizeof(struct ArrowSchema)))) goto fail;
  return 0;
fail:
  release_schema(out);
  PyErr_NoMemory();
  return -1;
}

/* A count, then length-prefixed keys and values. */
size_t arrow_metadata_size(const char *metadata) {
  const char *at = metadata + 4;
  int32_t n, length;
  memcpy(&n, metadata, 4);
  for (int32_t i = 0; i < 2 * n; i++) {
    memcpy(&length, at, 4);
    at += 4 + length;
  }
  return (size_t)(at - metadata);
}

int arrow_schema_copy(const struct ArrowSchema *from, struct ArrowSchema *out) {
  if (arrow_schema_init(out, from->format, from->name, from->flags, from->n_children) < 0) return -1;
  for (int64_t i = 0; i < from->n_children; i++)
    if (arrow_schema_copy(from->children[i], out->children[i]) < 0) goto fail;
  if (from->dictionary) {
    if (!(out->dictionary = calloc(1, sizeof *out->dictionary))) goto no_memory;
    if (arrow_schema_copy(from->dictionary, out->dictionary) < 0) goto fail;
  }
  if (from->metadata) {
    size_t size = arrow_metadata_size(from->metadata);
    char *copy = malloc(size);
    if (!copy) goto no_memory;
    out->metadata = memcpy(copy, from->metadata, size);
  }
  return 0;
no_memory:
  PyErr_NoMemory();
fail:
  arrow_schema_release(out);
  return -1;
}

static int rename_schema(struct ArrowSchema *schema, const char *name) {
  /* A foreign schema's strings belong to its producer: only a copy can be renamed. */
  struct ArrowSchema copy;
  int result = arrow_schema_copy(schema, &copy);
  arrow_schema_release(schema);
  if (result < 0) return -1;
  free((void *)copy.name);
  copy.name = copy_text(name);
  if (!copy.name) {
    arrow_schema_release(&copy);
    PyErr_NoMemory();
    return -1;
  }
  *schema = copy;
  return 0;
}

int arrow_schema_from_spec(engine_state *st, PyObject *spec, const char *name, struct ArrowSchema *out) {
  if (PyUnicode_Check(spec)) {
    const char *format = PyUnicode_AsUTF8(spec);
    return format ? arrow_schema_init(out, format, name, ARROW_FLAG_NULLABLE, 0) : -1;
  }
  if (!PyTuple_Check(spec)) return arrow_take_schema(st, spec, out) < 0 ? -1 : rename_schema(out, name);
  const char *format, *child_name;
  PyObject *children, *child_spec;
  if (!PyArg_ParseTuple(spec, "sO!", &format, &PyList_Type, &children)) return -1;
  if (arrow_schema_init(out, format, name, ARROW_FLAG_NULLABLE, PyList_GET_SIZE(children)) < 0) return -1;
  for (int64_t i = 0; i < out->n_children; i++) {
    if (!PyArg_ParseTuple(PyList_GET_ITEM(children, (Py_ssize_t)i), "sO", &child_name, &child_spec) ||
        arrow_schema_from_spec(st, child_spec, child_name, out->children[i]) < 0) {
      arrow_schema_release(out);
      return -1;
    }
  }
  if (!strcmp(format, "+m")) {
    /* A map's entries and its keys are never null. */
    out->children[0]->flags &= ~(int64_t)ARROW_FLAG_NULLABLE;
    if (out->children[0]->n_children) out->children[0]->children[0]->flags &= ~(int64_t)ARROW_FLAG_NULLABLE;
  }
  return 0;
}

static void drop_schema_capsule(PyObject *capsule) {
  struct ArrowSchema *schema = PyCapsule_GetPointer(capsule, "arrow_schema");
  arrow_schema_release(schema);
  free(schema);
}

static void drop_array_capsule(PyObject *capsule) {
  struct ArrowArray *array = PyCapsule_GetPointer(capsule, "arrow_array");
  arrow_array_release(array);
  free(array);
}

static void drop_stream_capsule(PyObject *capsule) {
  struct ArrowArrayStream *stream = PyCapsule_GetPointer(capsule, "arrow_array_stream");
  if (stream->release) stream->release(stream);
  free(stream);
}

static PyObject *capsule_of(const void *content, size_t size, const char *name, PyCapsule_Destructor drop) {
  void *heap = malloc(size);
  if (!heap) return PyErr_NoMemory();
  PyObject *capsule = PyCapsule_New(memcpy(heap, content, size), name, drop);
  if (!capsule) free(heap);
  return capsule;
}

PyObject *arrow_schema_capsule(struct ArrowSchema *schema) {
  PyObject *capsule = capsule_of(schema, sizeof *schema, "arrow_schema", drop_schema_capsule);
  if (!capsule) arrow_schema_release(schema);
  return capsule;
}

PyObject *arrow_array_capsule(struct ArrowArray *array) {
  PyObject *capsule = capsule_of(array, sizeof *array, "arrow_array", drop_array_capsule);
  if (!capsule) arrow_array_release(array);
  return capsule;
}

PyObject *arrow_stream_capsule(struct ArrowArrayStream *stream) {
  PyObject *capsule = capsule_of(stream, sizeof *stream, "arrow_array_stream", drop_stream_capsule);
  if (!capsule) stream->release(stream);
  return capsule;
}

PyObject *arrow_array_capsules(struct ArrowSchema *schema, struct ArrowArray *array) {
  PyObject *first = arrow_schema_capsule(schema), *second = arrow_array_capsule(array);
  PyObject *pair = first && second ? PyTuple_Pack(2, first, second) : NULL;
  Py_XDECREF(first);
  Py_XDECREF(second);
  return pair;
}

int arrow_has(PyObject *object, PyObject *method) { return PyObject_HasAttr((PyObject *)Py_TYPE(object), method); }

static int wrong_capsule(engine_state *st, PyObject *object, const char *method) {
  PyErr_Clear();
  PyErr_Format(errors_class(st, MARTLET_SOURCE_FAILED),
               "%s of %s did not return the capsules of the Arrow PyCapsule interface", method,
               Py_TYPE(object)->tp_name);
  return -1;
}

int arrow_take_array(engine_state *st, PyObject *object, struct ArrowArray *array, struct ArrowSchema *schema) {
  PyObject *pair = PyObject_CallMethodNoArgs(object, st->arrow_c_array);
  if (!pair) return -1;
  struct ArrowSchema *from_schema = NULL;
  struct ArrowArray *from_array = NULL;
  if (PyTuple_Check(pair) && PyTuple_GET_SIZE(pair) == 2) {
    from_schema = PyCapsule_GetPointer(PyTuple_GET_ITEM(pair, 0), "arrow_schema");
    from_array = from_schema ? PyCapsule_GetPointer(PyTuple_GET_ITEM(pair, 1), "arrow_array") : NULL;
  }
  int result = 0;
  if (from_array && from_schema->release && from_array->release) {
    *schema = *from_schema;
    *array = *from_array;
    from_schema->release = NULL;
    from_array->release = NULL;
  } else result = wrong_capsule(st, object, "__arrow_c_array__");
  Py_DECREF(pair);
  return result;
}

int arrow_take_stream(engine_state *st, PyObject *object, struct ArrowArrayStream *stream) {
  PyObject *capsule = PyObject_CallMethodNoArgs(object, st->arrow_c_stream);
  if (!capsule) return -1;
  struct ArrowArrayStream *from = PyCapsule_GetPointer(capsule, "arrow_array_stream");
  int result = 0;
  if (from && from->release) {
    *stream = *from;
    from->release = NULL;
  } else result = wrong_capsule(st, object, "__arrow_c_stream__");
  Py_DECREF(capsule);
  return result;
}

int arrow_take_schema(engine_state *st, PyObject *object, struct ArrowSchema *schema) {
  PyObject *capsule = PyObject_CallMethodNoArgs(object, st->arrow_c_schema);
  if (!capsule) return -1;
  struct ArrowSchema *from = PyCapsule_GetPointer(capsule, "arrow_schema");
  int result = 0;
  if (from && from->release) {
    *schema = *from;
    from->release = NULL;
  } else result = wrong_capsule(st, object, "__arrow_c_schema__");
  Py_DECREF(capsule);
  return result;
}

int arrow_stream_error(engine_state *st, struct ArrowArrayStream *stream, int code, const char *doing) {
  const char *text = stream->get_last_error(stream);
  PyErr_Format(errors_class(st, MARTLET_SOURCE_FAILED), "the Arrow stream failed while %s: %s", doing,
               text ? text : strerror(code));
  return -1;
}
