import CMartlet

@testable import Martlet

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#elseif canImport(Darwin)
  import Darwin
#endif

/// Two connected sockets.
func socketPair() -> (Int32, Int32) {
  var ends: [Int32] = [-1, -1]
  #if canImport(Darwin)
    let kind = SOCK_STREAM
  #else
    let kind = Int32(SOCK_STREAM.rawValue)
  #endif
  precondition(socketpair(AF_UNIX, kind, 0, &ends) == 0)
  return (ends[0], ends[1])
}

/// Code on a thread of its own.
final class TestThread: @unchecked Sendable {
  private var thread = pthread_t()
  private let body: () -> Void

  init(_ body: @escaping () -> Void) {
    self.body = body
    pthread_create(
      &thread, nil,
      { context in
        Unmanaged<TestThread>.fromOpaque(context!).takeRetainedValue().body()
        return nil
      }, Unmanaged.passRetained(self).toOpaque())
  }

  func join() { pthread_join(thread, nil) }
}

/// A coordinator, and workers that are threads of this process.
final class TestWorkers: @unchecked Sendable {
  let transport: ProcessTransport
  let links: [any InstanceLink]
  private var threads: [TestThread] = []
  /// How each worker's serving ended.
  private(set) var endings: [(any Error)?]

  init(_ count: Int, cause: [UInt8]? = nil, run: @escaping (Int, InstanceWork) throws -> InstanceResult) throws {
    let pairs = (0..<count).map { _ in socketPair() }
    let transport = try ProcessTransport(moving: pairs.map(\.0))
    self.transport = transport
    links = try (0..<count).map {
      try transport.link(
        process: 0, InstancePlace(instance: Int32($0), parallelism: Int32(count), maxParallelism: 128))
    }
    endings = Array(repeating: nil, count: count)
    for worker in 0..<count {
      threads.append(
        TestThread { [self] in
          do {
            let server = try InstanceServer(moving: pairs[worker].1)
            try server.serve(
              InstanceServer.Instances(run: { _, work, _ in try run(worker, work) }, cause: { cause }), watched: false)
          } catch { endings[worker] = error; print("ENDING", worker, error) }
        })
    }
  }

  func end() {
    transport.shutDown()
    for thread in threads { thread.join() }
    threads = []
  }
}

/// A chunk of all or some rows of a batch.
func chunk(_ batch: RecordBatch, _ rows: [Int32], span: Range<Int>? = nil, marks: [WatermarkMark] = []) -> InstanceChunk
{
  final class Arrays {
    let rows: UnsafeMutableBufferPointer<Int32>
    let positions: UnsafeMutableBufferPointer<UInt32>
    let times: UnsafeMutableBufferPointer<Int64>
    let marks: UnsafeMutableBufferPointer<WatermarkMark>
    init(_ numbers: [Int32], _ all: [WatermarkMark]) {
      rows = .allocate(capacity: numbers.count)
      _ = rows.initialize(from: numbers)
      positions = .allocate(capacity: numbers.count)
      _ = positions.initialize(from: numbers.map { UInt32($0) })
      times = .allocate(capacity: numbers.count)
      _ = times.initialize(from: numbers.map { Int64($0) * 10 })
      marks = .allocate(capacity: all.count)
      _ = marks.initialize(from: all)
    }
    deinit {
      rows.deallocate()
      positions.deallocate()
      times.deallocate()
      marks.deallocate()
    }
  }
  let arrays = Arrays(rows, marks)
  return InstanceChunk(
    batch: batch, firstRecord: 1000, rows: UnsafeBufferPointer(arrays.rows),
    positions: UnsafeBufferPointer(arrays.positions), timestamps: UnsafePointer(arrays.times.baseAddress),
    marks: UnsafeBufferPointer(arrays.marks), recordCount: batch.numRows, owner: arrays, span: span)
}

/// A lane with all rows of a batch, or some.
func lane(_ batch: RecordBatch, rows: [Int32]? = nil, tag: String? = nil) -> InstanceLane {
  let count = rows?.count ?? batch.numRows
  let orders = GrowableBytes(capacity: count * 4)
  let times = GrowableBytes(capacity: count * 8)
  for index in 0..<count {
    orders.start.storeBytes(of: UInt32(2 * index + 1), toByteOffset: index * 4, as: UInt32.self)
    times.start.storeBytes(of: Int64(index), toByteOffset: index * 8, as: Int64.self)
  }
  let numbers = rows.map { rows in
    let block = UnsafeMutablePointer<Int32>.allocate(capacity: rows.count)
    block.initialize(from: rows, count: rows.count)
    return RowNumbers(block, rows.count)
  }
  return InstanceLane(
    tag: tag, batch: batch, rows: numbers, timestamps: RowTimestamps(times, count),
    orders: RowOrders(
      orders, count,
      details: [OrderDetail(firstRow: 0, rowCount: UInt32(count), phase: 3, time: 7, keyStart: 1, keyCount: 2)],
      keyBytes: [1, 2, 3]))
}

/// How many sockets and blocks of shared memory this process has open: other tests open files meanwhile.
func openDescriptors() -> Int {
  (0..<1024).filter { descriptor in
    guard fcntl(Int32(descriptor), F_GETFD) >= 0 else { return false }
    #if os(Linux)
      var target = [CChar](repeating: 0, count: 64)
      guard readlink("/proc/self/fd/\(descriptor)", &target, 63) > 0 else { return false }
      return strncmp(target, "socket:", 7) == 0 || strncmp(target, "/memfd:martlet", 14) == 0
    #else
      return true
    #endif
  }.count
}
