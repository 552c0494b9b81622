/* arrow.h: Arrow C schemas of our own making, and the PyCapsule interface in both directions
 * (https://arrow.apache.org/docs/format/CDataInterface/PyCapsuleInterface.html). */
#ifndef MARTLET_PY_ARROW_H
#define MARTLET_PY_ARROW_H

#include "engine.h"

/* An allocated schema node with `n_children` zeroed children. 0, or -1 with MemoryError. */
int arrow_schema_init(struct ArrowSchema *out, const char *format, const char *name, int64_t flags, int64_t n_children);
/* Bytes of Arrow's encoding of metadata, which is not NULL. */
size_t arrow_metadata_size(const char *metadata);
int arrow_schema_copy(const struct ArrowSchema *from, struct ArrowSchema *out);
static inline void arrow_schema_release(struct ArrowSchema *schema) {
  if (schema->release) schema->release(schema);
}
static inline void arrow_array_release(struct ArrowArray *array) {
  if (array->release) array->release(array);
}
/* `spec`: an Arrow format string; (format, [(name, spec), …]) for nested types; or an object with __arrow_c_schema__.
 */
int arrow_schema_from_spec(engine_state *st, PyObject *spec, const char *name, struct ArrowSchema *out);

/* Capsules as the protocol names them; the struct is moved, also on failure. New. */
PyObject *arrow_schema_capsule(struct ArrowSchema *schema);
PyObject *arrow_array_capsule(struct ArrowArray *array);
PyObject *arrow_stream_capsule(struct ArrowArrayStream *stream);
/* The (schema, array) pair of __arrow_c_array__. Both are moved, also on failure. */
PyObject *arrow_array_capsules(struct ArrowSchema *schema, struct ArrowArray *array);

/* What `object` gives by __arrow_c_array__, __arrow_c_stream__, __arrow_c_schema__, moved out of its capsules. */
int arrow_take_array(engine_state *st, PyObject *object, struct ArrowArray *array, struct ArrowSchema *schema);
int arrow_take_stream(engine_state *st, PyObject *object, struct ArrowArrayStream *stream);
int arrow_take_schema(engine_state *st, PyObject *object, struct ArrowSchema *schema);
/* 1 when `object`'s type has the attribute; never runs user code of the instance. */
int arrow_has(PyObject *object, PyObject *method);
/* Raises SourceError for a failed call on a stream. Returns -1. */
int arrow_stream_error(engine_state *st, struct ArrowArrayStream *stream, int code, const char *doing);

#endif
