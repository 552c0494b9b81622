/* What the engine needs from the compiler and Swift does not spell. Not part of the C interface. */
#ifndef MARTLET_INTRINSICS_H
#define MARTLET_INTRINSICS_H

/* Asks for the cache line at `address`, for reading. Any address is allowed. */
static inline void martlet_prefetch(const void *address) { __builtin_prefetch(address, 0, 3); }

#endif
