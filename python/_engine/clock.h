/* clock.h: `ManualClock`: processing time that is set by hand. */
#ifndef MARTLET_PY_CLOCK_H
#define MARTLET_PY_CLOCK_H

#include "engine.h"

int clock_init(PyObject *module, engine_state *st);
/* The engine's clock behind a ManualClock (borrowed), or NULL for None. 0 or -1 with TypeError. */
int clock_of(engine_state *st, PyObject *object, martlet_clock **out);

#endif
