/* places.h: where a source stands, as bytes that a checkpoint keeps: JSON, [where, rows given of the item that begins there]. */
#ifndef MARTLET_PY_PLACES_H
#define MARTLET_PY_PLACES_H

#include "engine.h"

typedef enum place_keeping {
  PLACES_NONE,   /* not replayable, or nobody asks */
  PLACES_COUNTED, /* `where` is the number of items before */
  PLACES_READER  /* `where` is an offset of the user's; the iterator tells */
} place_keeping;

typedef struct source_places {
  place_keeping keeping;
  /* Has place(rows or None) -> bytes, seek(bytes) -> rows to skip; borrowed from the source, whose iterator it is. */
  PyObject *reader;
  int64_t items; /* counted: those that were given whole */
  int64_t rows;  /* given of the item that comes now */
  int64_t skip;  /* rows of the next item that an earlier life gave */
  PyObject *bytes; /* of the engine's next question */
} source_places;

/* `how`: None, True to count, or the reader. 0 or -1. */
int places_open(source_places *self, PyObject *how);
/* The item that came last is over. */
void places_end_item(source_places *self);
/* Notes where the source stands now; `in_item`: the item that came last is not over. 0 or -1. */
int places_note(source_places *self, bool in_item);
/* Reads what places_note wrote; for a counted source, `*items` is the number to go to. 0 or -1. */
int places_seek(engine_state *st, source_places *self, PyObject *source_name, const uint8_t *bytes, size_t length,
                int64_t *items);
void places_close(source_places *self);

#endif
