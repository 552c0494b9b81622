/* harness.h: `Harness`: one function driven by hand; martlet.testing.Harness is the side that users see. */
#ifndef MARTLET_PY_HARNESS_H
#define MARTLET_PY_HARNESS_H

#include "engine.h"

int harness_init(PyObject *module, engine_state *st);

#endif
