#ifndef INTERIM_H
#define INTERIM_H
#include "martlet.h"
#include "martlet_checkpoint.h"
typedef struct martlet_state_dir martlet_state_dir;   /* one process has it at a time: LOCK */
enum { MARTLET_BACKEND_MEMORY = 0, MARTLET_BACKEND_ROCKSDB = 1 };
typedef struct martlet_state_dir_options { uint32_t struct_size; int32_t backend; int64_t retained; int64_t memory_limit; const char *store_path; } martlet_state_dir_options;
int32_t martlet_state_dir_open(const char *path, const martlet_state_dir_options *options, martlet_state_dir **out, martlet_error *error);
int32_t martlet_state_dir_attach(martlet_state_dir *dir, martlet_job *job, const char *from, const martlet_resume_options *options, int64_t *checkpoint_id, char *damaged, size_t capacity, martlet_error *error);
const uint8_t *martlet_state_dir_sink(const martlet_state_dir *dir, size_t *length);
int64_t martlet_state_dir_next_id(const martlet_state_dir *dir);
int32_t martlet_state_dir_begin(martlet_state_dir *dir, martlet_job *job, int64_t id, const uint8_t *sink, size_t sink_length, martlet_error *error);
int32_t martlet_state_dir_finish(martlet_state_dir *dir, martlet_job *job, int32_t wait, int32_t *done, martlet_error *error);
void martlet_state_dir_free(martlet_state_dir *dir);
#endif
