import CRocksDB
import Martlet

/// The options a store is opened with: RocksDB's objects, freed when the last reference goes. Why they are as they are is in
/// `docs/decisions/0015-rocksdb.md`.
final class RocksDBSettings {
  let options: OpaquePointer
  let cache: OpaquePointer
  let files: RocksDBFiles
  private let table: OpaquePointer

  init(_ store: StoreOptions, _ compression: Compression) {
    let buffers = store.isLogged ? RocksDBSettings.writeBuffers(store.memoryLimit) : store.memoryLimit / 2
    cache = rocksdb_cache_create_lru(store.memoryLimit - buffers)

    table = rocksdb_block_based_options_create()
    rocksdb_block_based_options_set_block_cache(table, cache)
    // Indexes and filters count as cache, or they would grow with the state beyond any limit.
    rocksdb_block_based_options_set_cache_index_and_filter_blocks(table, store.isLogged ? 1 : 0)
    rocksdb_block_based_options_set_cache_index_and_filter_blocks_with_high_priority(table, 1)
    rocksdb_block_based_options_set_pin_l0_filter_and_index_blocks_in_cache(table, 1)
    // Most keys that are looked up are new ones: a filter answers for the files that do not have them. Taken over by the options.
    rocksdb_block_based_options_set_filter_policy(table, rocksdb_filterpolicy_create_bloom_full(10))
    rocksdb_block_based_options_set_format_version(table, 5)
    // Of a store that is looked into by many sorted keys at a time, a block has several of them: by 65,536 keys of 10 M rows 1.26 us a key,
    // 1.41 with blocks of 4096.
    rocksdb_block_based_options_set_block_size(table, store.isLogged ? 4096 : 16384)

    options = rocksdb_options_create()
    files = RocksDBFiles(store)
    files.use(options)
    rocksdb_options_set_block_based_table_factory(options, table)
    if case .create = store.access { rocksdb_options_set_create_if_missing(options, 1) }
    rocksdb_options_set_create_missing_column_families(options, 1)
    rocksdb_options_set_db_write_buffer_size(options, buffers)
    rocksdb_options_set_write_buffer_size(options, buffers / 2)
    // The same for what is not in files yet: looking up a million new keys beside a million others took 1.5 s without, 0.7 s with.
    rocksdb_options_set_memtable_whole_key_filtering(options, 1)
    rocksdb_options_set_memtable_prefix_bloom_size_ratio(options, 0.05)
    // Without a log the families' buffers become files together, so that a copy has all of a batch or nothing.
    if !store.isLogged {
      rocksdb_options_set_atomic_flush(options, 1)
      tuneForBulk()
    }
    rocksdb_options_set_max_total_wal_size(options, UInt64(2 * buffers))
    rocksdb_options_set_level_compaction_dynamic_level_bytes(options, 1)
    rocksdb_options_set_compression(options, store.isLogged ? compression.rawValue : Compression.none.rawValue)
    rocksdb_options_increase_parallelism(options, 2)
    rocksdb_options_set_bytes_per_sync(options, 1 << 20)
    // Below the usual limit of 1024 for the whole process.
    rocksdb_options_set_max_open_files(options, 512)
    // Its usual sixteen threads for opening tables cost more than the tables, which are few: 15 ms of a start.
    rocksdb_options_set_max_file_opening_threads(options, 1)
    // A torn end of the log is what a crash leaves; whatever is behind damage is not trusted.
    rocksdb_options_set_wal_recovery_mode(options, Int32(rocksdb_point_in_time_recovery))
    rocksdb_options_set_paranoid_checks(options, 1)
    // Its usual 4 MiB would be taken from the disk when a store is opened.
    rocksdb_options_set_manifest_preallocation_size(options, 64 << 10)
    rocksdb_options_set_info_log_level(options, 2)
    rocksdb_options_set_keep_log_file_num(options, 2)
    rocksdb_options_set_max_log_file_size(options, 1 << 20)
    rocksdb_options_set_stats_dump_period_sec(options, 0)
    rocksdb_options_set_stats_persist_period_sec(options, 0)
  }

  /// For a store that is written in large pieces and read a few rows of each block at a time.
  ///
  /// Tables are not compressed and lie in the page cache, from where they are read in place: neither blocks nor indexes nor filters
  /// are copied. 10 M rows of 26 bytes, by 64 K sorted keys: 1.5 us a key, 2.4 us with LZ4 and a cache of a fifth.
  /// Pieces of one size are merged, not each with all there is.
  private func tuneForBulk() {
    rocksdb_options_set_allow_mmap_reads(options, 1)
    rocksdb_options_set_compaction_style(options, Int32(rocksdb_universal_compaction))
    // Every table more that a key may be in costs: by eight a lookup took 2.1 us, by four 1.9, and the merges no more time in all.
    rocksdb_options_set_level0_file_num_compaction_trigger(options, 4)
    // Not two at a time, which rewrites a row more often: 10 M updates at random of 10 M keys took 1.38 us each so, 1.43 by twos.
    let universal: OpaquePointer = rocksdb_universal_compaction_options_create()
    rocksdb_universal_compaction_options_set_min_merge_width(universal, 3)
    rocksdb_options_set_universal_compaction_options(options, universal)
    rocksdb_universal_compaction_options_destroy(universal)
  }

  deinit {
    rocksdb_options_destroy(options)
    rocksdb_block_based_options_destroy(table)
    rocksdb_cache_destroy(cache)
  }

  /// A quarter of the memory is for what was not written to files yet, up to 128 MiB; the rest is the block cache. (The C interface
  /// of RocksDB 7 cannot charge one to the other.)
  private static func writeBuffers(_ memoryLimit: Int) -> Int { min(memoryLimit / 4, 128 << 20) }

  /// Fast ones first. Which of them a build of RocksDB has shows when a store is opened.
  enum Compression: Int32, CaseIterable {
    case lz4 = 4
    case zstd = 7
    case snappy = 1
    case none = 0
  }
}
