/* Compile-time checks of the layouts that bindings rely on. */
#include "martlet.h"

#include <assert.h>

static_assert(sizeof(struct ArrowSchema) == 72, "ArrowSchema is a frozen layout");
static_assert(sizeof(struct ArrowArray) == 80, "ArrowArray is a frozen layout");
static_assert(sizeof(struct ArrowArrayStream) == 40, "ArrowArrayStream is a frozen layout");
static_assert(sizeof(martlet_error) == 16 + 128 + 256 + 1600, "martlet_error has no hidden padding");
static_assert(offsetof(martlet_context, engine) == 88, "martlet_context only ever grows at its end");
