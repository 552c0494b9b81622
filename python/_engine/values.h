/* values.h: dynamic state values as bytes, by value: CBOR (RFC 8949) in a fixed form, so that equal values have equal
 * bytes.
 *
 * None, bool, int of any size (bignum tags 2 and 3), float (always 64 bits; NaN and -0.0 keep their bits), str, bytes,
 * list, dict with keys of str, int, float, bool, None or bytes (in insertion order), nested up to VALUES_MAX_DEPTH. A
 * tuple is a tagged array (VALUES_TUPLE_TAG) and comes back as a tuple.
 */
#ifndef MARTLET_PY_VALUES_H
#define MARTLET_PY_VALUES_H

#include "engine.h"

#define VALUES_TUPLE_TAG 19796 /* "MT" */
#define VALUES_MAX_DEPTH 200

typedef struct values_buffer {
  uint8_t *data; /* `local` until the value outgrows it */
  size_t length;
  size_t capacity;
  uint8_t local[512];
} values_buffer;

typedef enum values_rules {
  VALUES_ANY,
  VALUES_JSON /* what json.dumps takes, as json.loads gives it back: tuples become lists, keys become str, bytes are an
                 error */
} values_rules;

static inline void values_buffer_init(values_buffer *buffer) {
  buffer->data = buffer->local;
  buffer->length = 0;
  buffer->capacity = sizeof buffer->local;
}
void values_buffer_free(values_buffer *buffer);
int values_append(values_buffer *buffer, const void *bytes, size_t length);
/* Appends `value`; `state` is the state's name, for messages. 0, or -1 with StateTypeError or ValueRangeError. */
int values_encode(engine_state *st, PyObject *state, values_rules rules, PyObject *value, values_buffer *buffer);
/* New, or NULL with an exception (EngineError for bytes that no encoder wrote). */
PyObject *values_decode(engine_state *st, const uint8_t *bytes, size_t length);

#endif
