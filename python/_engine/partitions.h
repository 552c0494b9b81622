/* partitions.h: which partition a source's batch belongs to, as a martlet.sources.reading.Reading tells it. */
#ifndef MARTLET_PY_PARTITIONS_H
#define MARTLET_PY_PARTITIONS_H

#include "engine.h"

typedef struct source_partitions {
  PyObject *reading; /* borrowed: it is the source's iterator; NULL: no partitions */
  PyObject *last;    /* of what came last: (name as bytes, whether nothing more comes of it), or None */
} source_partitions;

/* Notes that of the item that came last. 1: it has one, 0: none, -1: exception. */
int partition_note(source_partitions *self);
/* What was noted; needs no GIL. The name stays until the next call of the source. */
void partition_tell(const source_partitions *self, const char **name, size_t *length, int32_t *is_last);
/* A batch without rows, of an item that has no batch and only names a partition. 1 or -1. */
int partition_give_empty(engine_state *st, const struct ArrowSchema *item, struct ArrowArray *array,
                         struct ArrowSchema *schema);

#endif
