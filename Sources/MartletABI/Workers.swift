import CMartlet
import Martlet
import MartletRocksDB

// martlet_workers.h: instances in worker processes.

@_cdecl("martlet_job_use_workers")
public func martletJobUseWorkers(
  _ job: OpaquePointer, _ sockets: UnsafePointer<CInt>?, _ count: Int64, _ maxParallelism: Int32,
  _ error: UnsafeMutablePointer<martlet_error>?
) -> Int32 {
  boundary(error: error) { () throws(EngineError) in
    let sockets = try array(sockets, count, "sockets")
    try Handle.object(job, as: Job.self).useWorkers(Array(sockets), maxParallelism: Int(maxParallelism))
  }
}

@_cdecl("martlet_job_serve")
public func martletJobServe(
  _ job: OpaquePointer, _ socket: CInt, _ options: UnsafePointer<martlet_serve_options>?,
  _ error: UnsafeMutablePointer<martlet_error>?
) -> Int32 {
  running(error: error) {
    guard let options else { throw missing("options") }
    try checkSize(options.pointee.struct_size, of: martlet_serve_options.self)
    let given = options.pointee
    try Handle.object(job, as: Job.self).serve(
      socket: socket, instance: Int(given.instance),
      of: Parallelism(Int(given.parallelism), of: Int(given.max_parallelism)), backends: [RocksDBBackend()]
    ) {
      var bytes: UnsafePointer<UInt8>?
      var length = 0
      given.cause?(given.context, &bytes, &length)
      guard let bytes, length > 0 else { return nil }
      return Array(UnsafeBufferPointer(start: bytes, count: length))
    }
  }
}

@_cdecl("martlet_job_cause")
public func martletJobCause(
  _ job: OpaquePointer, _ bytes: UnsafeMutablePointer<UInt8>?, _ capacity: Int,
  _ length: UnsafeMutablePointer<Int>?, _ error: UnsafeMutablePointer<martlet_error>?
) -> Int32 {
  boundary(error: error) { () throws(EngineError) in
    guard let length, bytes != nil || capacity == 0 else { throw missing(length == nil ? "length" : "bytes") }
    let cause = Handle.object(job, as: Job.self).failureCause ?? []
    for (position, byte) in cause.prefix(max(0, capacity)).enumerated() { bytes?[position] = byte }
    length.pointee = cause.count
  }
}

/// As `running` for what runs the job: notes what a worker process said about a failure.
func runningJob(
  _ job: OpaquePointer, error: UnsafeMutablePointer<martlet_error>?, _ body: (Job) throws -> Void
) -> Int32 {
  let job = Handle.object(job, as: Job.self)
  return running(error: error) {
    job.failureCause = nil
    do { try body(job) } catch {
      job.failureCause = (error as? EngineError)?.cause
      throw error
    }
  }
}
