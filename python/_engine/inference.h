/* inference.h: an Arrow schema from Python values: the first dict or keyword emission, and sources of dicts. */
#ifndef MARTLET_PY_INFERENCE_H
#define MARTLET_PY_INFERENCE_H

#include "engine.h"

/* Collects what is known of one value or of many. int → int64 · float, or int and float → float64 · str → utf8 · bytes
 * → binary · bool · datetime → timestamp[us], with UTC if aware · date → date32 · time → time64[us] · timedelta →
 * duration[us] · Decimal → decimal128(38, most places seen) · list, tuple → list · dict → struct of all fields seen ·
 * only None → null. */
typedef struct inferred inferred;

inferred *inferred_new(void);
void inferred_free(inferred *node); /* NULL allowed */
/* Widens `node` by `value`; `where` names it in messages ("column 'n'"). 0, or -1 with SchemaError. */
int inferred_add(engine_state *st, inferred *node, const char *where, PyObject *value);
/* A struct's field by name, added when it is new; NULL with an exception. `name` is a str. */
inferred *inferred_field(engine_state *st, inferred *node, PyObject *name);
int inferred_schema(const inferred *node, const char *name, struct ArrowSchema *out);

#endif
