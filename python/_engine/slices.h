/* slices.h: on_batch: all consecutive records of one key as one call. */
#ifndef MARTLET_PY_SLICES_H
#define MARTLET_PY_SLICES_H

#include "operator.h"

int32_t on_batch(void *context, martlet_context *call, martlet_error *error);

#endif
