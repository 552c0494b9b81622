import CMartlet
import Martlet
import MartletRocksDB

// martlet_checkpoint.h: checkpoints of a whole job. Its state directory is in StateDirectory.swift.

/// A checkpoint, with what its functions lend.
private final class CheckpointObject {
  let checkpoint: Checkpoint
  let sink: UnsafeMutableBufferPointer<UInt8>
  let names: [UnsafeMutableBufferPointer<CChar>]

  init(_ checkpoint: Checkpoint) {
    self.checkpoint = checkpoint
    sink = .allocate(capacity: checkpoint.sink.count)
    _ = sink.initialize(from: checkpoint.sink)
    names = checkpoint.notReplayable.map { name in
      let block = UnsafeMutableBufferPointer<CChar>.allocate(capacity: name.utf8.count + 1)
      _ = block.initialize(from: Array(name.utf8CString))
      return block
    }
  }

  deinit {
    sink.deallocate()
    for name in names { name.deallocate() }
  }
}

private func checkpoint(_ handle: OpaquePointer) -> CheckpointObject {
  Handle.object(handle, as: CheckpointObject.self)
}

func path(_ text: UnsafePointer<CChar>?) throws(EngineError) -> String {
  guard let text else { throw missing("path") }
  return String(cString: text)
}

// MARK: - A job

@_cdecl("martlet_job_pause")
public func martletJobPause(_ job: OpaquePointer) { Handle.object(job, as: Job.self).pause() }

@_cdecl("martlet_job_is_paused")
public func martletJobIsPaused(_ job: OpaquePointer) -> Int32 { Handle.object(job, as: Job.self).isPaused ? 1 : 0 }

@_cdecl("martlet_job_stay_open")
public func martletJobStayOpen(_ job: OpaquePointer) { Handle.object(job, as: Job.self).staysOpenAtEnd = true }

@_cdecl("martlet_job_take")
public func martletJobTake(
  _ job: OpaquePointer, _ output: Int64, _ out: UnsafeMutablePointer<OpaquePointer?>?,
  _ error: UnsafeMutablePointer<martlet_error>?
) -> Int32 {
  runningJob(job, error: error) { job in
    guard let out else { throw missing("out") }
    out.pointee = try job.takeReady(from: Int(clamping: output)).map { Handle.new($0) }
  }
}

@_cdecl("martlet_job_checkpoint")
public func martletJobCheckpoint(
  _ job: OpaquePointer, _ id: Int64, _ sink: UnsafePointer<UInt8>?, _ sinkLength: Int,
  _ out: UnsafeMutablePointer<OpaquePointer?>?, _ error: UnsafeMutablePointer<martlet_error>?
) -> Int32 {
  runningJob(job, error: error) { job in
    guard let out else { throw missing("out") }
    let sink = Array(try array(sink, Int64(sinkLength), "sink"))
    out.pointee = Handle.new(CheckpointObject(try job.checkpoint(id: id, sink: sink)))
  }
}

@_cdecl("martlet_job_savepoint")
public func martletJobSavepoint(
  _ job: OpaquePointer, _ path: UnsafePointer<CChar>?, _ id: Int64, _ sink: UnsafePointer<UInt8>?, _ sinkLength: Int,
  _ error: UnsafeMutablePointer<martlet_error>?
) -> Int32 {
  runningJob(job, error: error) { job in
    let sink = Array(try array(sink, Int64(sinkLength), "sink"))
    try job.savepoint(to: MartletABI.path(path), id: id, sink: sink)
  }
}

@_cdecl("martlet_job_restore")
public func martletJobRestore(
  _ job: OpaquePointer, _ handle: OpaquePointer?, _ options: UnsafePointer<martlet_resume_options>?,
  _ error: UnsafeMutablePointer<martlet_error>?
) -> Int32 {
  boundary(error: error) { () throws(EngineError) in
    guard let handle else { throw missing("checkpoint") }
    let forgetting = try forgetting(options)
    try Handle.object(job, as: Job.self).restore(checkpoint(handle).checkpoint, forgetting: forgetting)
  }
}

/// What of a checkpoint is not to be kept.
func forgetting(_ options: UnsafePointer<martlet_resume_options>?) throws(EngineError) -> Forgetting {
  var forgetting = Forgetting()
  guard let options else { return forgetting }
  try checkSize(options.pointee.struct_size, of: martlet_resume_options.self)
  for one in try array(
    options.pointee.forgotten, options.pointee.n_forgotten, "martlet_resume_options.forgotten")
  {
    guard let name = text(one.operator_name) else { throw missing("martlet_forgotten.operator_name") }
    if let state = text(one.state) {
      forgetting.states[name, default: []].insert(state)
    } else {
      forgetting.operators.insert(name)
    }
  }
  return forgetting
}

// MARK: - A checkpoint

@_cdecl("martlet_checkpoint_write")
public func martletCheckpointWrite(
  _ handle: OpaquePointer, _ path: UnsafePointer<CChar>?, _ error: UnsafeMutablePointer<martlet_error>?
) -> Int32 {
  boundary(error: error) { () throws(EngineError) in
    try checkpoint(handle).checkpoint.write(to: MartletABI.path(path), PosixFileSystem())
  }
}

@_cdecl("martlet_checkpoint_read")
public func martletCheckpointRead(
  _ path: UnsafePointer<CChar>?, _ out: UnsafeMutablePointer<OpaquePointer?>?,
  _ error: UnsafeMutablePointer<martlet_error>?
) -> Int32 {
  boundary(error: error) { () throws(EngineError) in
    guard let out else { throw missing("out") }
    out.pointee = Handle.new(
      CheckpointObject(
        try Checkpoint(reading: MartletABI.path(path), PosixFileSystem()).portable([RocksDBBackend()])))
  }
}

@_cdecl("martlet_checkpoint_id")
public func martletCheckpointID(_ handle: OpaquePointer) -> Int64 { checkpoint(handle).checkpoint.id }

@_cdecl("martlet_checkpoint_time")
public func martletCheckpointTime(_ handle: OpaquePointer) -> Int64 { checkpoint(handle).checkpoint.time }

@_cdecl("martlet_checkpoint_sink")
public func martletCheckpointSink(
  _ handle: OpaquePointer, _ length: UnsafeMutablePointer<Int>?
) -> UnsafePointer<UInt8>? {
  let sink = checkpoint(handle).sink
  length?.pointee = sink.count
  return UnsafePointer(sink.baseAddress)
}

@_cdecl("martlet_checkpoint_not_replayable")
public func martletCheckpointNotReplayable(_ handle: OpaquePointer, _ index: Int64) -> UnsafePointer<CChar>? {
  let names = checkpoint(handle).names
  return index >= 0 && index < names.count ? UnsafePointer(names[Int(index)].baseAddress) : nil
}

@_cdecl("martlet_checkpoint_free")
public func martletCheckpointFree(_ handle: OpaquePointer?) { Handle.release(handle, as: CheckpointObject.self) }
