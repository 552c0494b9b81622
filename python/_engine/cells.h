/* cells.h: one cell of an Arrow column as a Python object. */
#ifndef MARTLET_PY_CELLS_H
#define MARTLET_PY_CELLS_H

#include "engine.h"

/* The value at `row`; None when it is null. Dictionary-encoded cells are decoded. New, or NULL with an exception.
 * int8 … uint64 → int · float16/32/64 → float · bool · utf8 → str · binary → bytes · date → date · time → time ·
 * timestamp → datetime (aware when the column has a zone) · duration → timedelta · decimal → Decimal · list → list ·
 * struct → dict · map → list of (key, value) · interval → int (months), timedelta or (months, days, ns). */
PyObject *cell_to_python(engine_state *st, const martlet_column *column, int64_t row);

static inline bool cell_is_null(const martlet_column *column, int64_t row) {
  int64_t at = column->offset + row;
  return column->validity && !(column->validity[at >> 3] >> (at & 7) & 1);
}

#endif
