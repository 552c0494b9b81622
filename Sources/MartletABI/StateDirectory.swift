import CMartlet
import Martlet
import MartletRocksDB

// martlet_state_dir_*: where a job keeps its state from life to life.

/// A state directory, with what its functions lend.
private final class StateDirectoryObject {
  let directory: StateDirectory
  private(set) var sink = UnsafeMutableBufferPointer<UInt8>.allocate(capacity: 0)

  init(_ directory: StateDirectory) { self.directory = directory }

  deinit { sink.deallocate() }

  func lend(_ bytes: [UInt8]) {
    sink.deallocate()
    sink = .allocate(capacity: bytes.count)
    _ = sink.initialize(from: bytes)
  }
}

private func object(_ handle: OpaquePointer) -> StateDirectoryObject {
  Handle.object(handle, as: StateDirectoryObject.self)
}

@_cdecl("martlet_state_dir_open")
public func martletStateDirOpen(
  _ path: UnsafePointer<CChar>?, _ options: UnsafePointer<martlet_state_dir_options>?,
  _ out: UnsafeMutablePointer<OpaquePointer?>?, _ error: UnsafeMutablePointer<martlet_error>?
) -> Int32 {
  boundary(error: error) { () throws(EngineError) in
    guard let out else { throw missing("out") }
    var how = StateDirectory.Options()
    if let options {
      try checkSize(options.pointee.struct_size, of: martlet_state_dir_options.self)
      let given = options.pointee
      switch given.backend {
      case Int32(bitPattern: MARTLET_BACKEND_MEMORY.rawValue): break
      case Int32(bitPattern: MARTLET_BACKEND_ROCKSDB.rawValue): how.backend = RocksDBBackend()
      default:
        throw EngineError(
          .invalidArgument, "martlet_state_dir_options.backend is \(given.backend), which is no martlet_backend")
      }
      if given.retained != 0 { how.retained = Int(clamping: given.retained) }
      if given.memory_limit != 0 { how.memoryLimit = Int(clamping: given.memory_limit) }
      how.storePath = text(given.store_path)
    }
    how.readers = [RocksDBBackend()]
    out.pointee = Handle.new(StateDirectoryObject(try StateDirectory(MartletABI.path(path), how)))
  }
}

@_cdecl("martlet_state_dir_attach")
public func martletStateDirAttach(
  _ handle: OpaquePointer, _ job: OpaquePointer, _ from: UnsafePointer<CChar>?,
  _ options: UnsafePointer<martlet_resume_options>?, _ checkpointID: UnsafeMutablePointer<Int64>?,
  _ damaged: UnsafeMutablePointer<CChar>?, _ capacity: Int, _ error: UnsafeMutablePointer<martlet_error>?
) -> Int32 {
  boundary(error: error) { () throws(EngineError) in
    let object = object(handle)
    let resumed = try object.directory.attach(
      Handle.object(job, as: Job.self), from: text(from), forgetting: forgetting(options))
    object.lend(resumed.sink)
    checkpointID?.pointee = resumed.id
    guard let damaged, capacity > 0 else { return }
    copyText(
      resumed.damaged.map(\.message).joined(separator: "\n"),
      into: UnsafeMutableRawBufferPointer(start: damaged, count: capacity))
  }
}

@_cdecl("martlet_state_dir_sink")
public func martletStateDirSink(_ handle: OpaquePointer, _ length: UnsafeMutablePointer<Int>?) -> UnsafePointer<UInt8>?
{
  let sink = object(handle).sink
  length?.pointee = sink.count
  return UnsafePointer(sink.baseAddress)
}

@_cdecl("martlet_state_dir_next_id")
public func martletStateDirNextID(_ handle: OpaquePointer) -> Int64 { object(handle).directory.nextID }

@_cdecl("martlet_state_dir_begin")
public func martletStateDirBegin(
  _ handle: OpaquePointer, _ job: OpaquePointer, _ id: Int64, _ sink: UnsafePointer<UInt8>?, _ sinkLength: Int,
  _ error: UnsafeMutablePointer<martlet_error>?
) -> Int32 {
  runningJob(job, error: error) { job in
    try object(handle).directory.begin(job, id: id, sink: Array(try array(sink, Int64(sinkLength), "sink")))
  }
}

@_cdecl("martlet_state_dir_finish")
public func martletStateDirFinish(
  _ handle: OpaquePointer, _ job: OpaquePointer, _ wait: Int32, _ done: UnsafeMutablePointer<Int32>?,
  _ error: UnsafeMutablePointer<martlet_error>?
) -> Int32 {
  runningJob(job, error: error) { job in
    let isDone = try object(handle).directory.finish(job, waiting: wait != 0)
    done?.pointee = isDone ? 1 : 0
  }
}

@_cdecl("martlet_state_dir_free")
public func martletStateDirFree(_ handle: OpaquePointer?) { Handle.release(handle, as: StateDirectoryObject.self) }
