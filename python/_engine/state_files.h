/* state_files.h: `StateReader`, `StateRows` and `StateWriter`: looking into checkpoints, and writing state from tables. */
#ifndef MARTLET_PY_STATE_FILES_H
#define MARTLET_PY_STATE_FILES_H

#include "engine.h"

int state_files_init(PyObject *module, engine_state *st);

#endif
