/// What has come on one side of a merge and has not gone on: records and watermarks in order, in segments. Batches are shared,
/// timestamps and marks copied.
struct MergeQueue {
  /// Rows of one batch with the watermarks between them, or watermarks alone. Its buffers belong to the queue.
  struct Segment {
    /// Nil: watermarks alone.
    let batch: RecordBatch?
    let firstRecord: Int64
    let count: Int
    /// Row numbers if they are not `firstRow` and those after it.
    let rows: UnsafeMutablePointer<Int32>?
    let firstRow: Int
    /// Nil: no record has a timestamp.
    let times: UnsafeMutablePointer<Int64>?
    let marks: UnsafeMutablePointer<WatermarkMark>?
    let markCount: Int
    /// What has gone on already.
    var position = 0
    var mark = 0

    init(_ chunk: Chunk) {
      batch = chunk.batch
      firstRecord = chunk.firstRecord
      count = chunk.selection.count
      firstRow = chunk.selection.start
      rows = chunk.selection.rows.map { Segment.copy($0, chunk.selection.count) }
      times = chunk.timestamps.map { Segment.copy($0, chunk.selection.count) }
      marks = chunk.marks.baseAddress.map { Segment.copy($0, chunk.marks.count) }
      markCount = chunk.marks.count
    }

    init(_ watermarks: UnsafeBufferPointer<WatermarkMark>) {
      batch = nil
      (firstRecord, count, firstRow) = (0, 0, 0)
      (rows, times) = (nil, nil)
      marks = watermarks.baseAddress.map { Segment.copy($0, watermarks.count) }
      markCount = watermarks.count
      for index in 0..<markCount { marks?[index].position = 0 }
    }

    /// One that waited when a checkpoint was taken. There is a time for each record or for none, `rows` are row numbers or none.
    init(
      _ batch: RecordBatch?, firstRecord: Int64, count: Int, rows: [Int32]?, times: [Int64]?, marks: [WatermarkMark]
    ) {
      (self.batch, self.firstRecord, self.count, firstRow) = (batch, firstRecord, count, 0)
      self.rows = rows.flatMap { rows in rows.withUnsafeBufferPointer { $0.baseAddress.map { Segment.copy($0, count) } }
      }
      self.times = times.flatMap { times in
        times.withUnsafeBufferPointer { $0.baseAddress.map { Segment.copy($0, count) } }
      }
      markCount = marks.count
      self.marks = marks.withUnsafeBufferPointer { $0.baseAddress.map { Segment.copy($0, marks.count) } }
    }

    private static func copy<Element: BitwiseCopyable>(
      _ start: UnsafePointer<Element>, _ count: Int
    ) -> UnsafeMutablePointer<Element> {
      let copy = UnsafeMutablePointer<Element>.allocate(capacity: max(count, 1))
      copy.initialize(from: start, count: count)
      return copy
    }

    fileprivate func free() {
      rows?.deallocate()
      times?.deallocate()
      marks?.deallocate()
    }

    var isUsedUp: Bool { position == count && mark == markCount }
  }

  private var segments: [Segment?] = []
  private var first = 0
  /// Whether nothing more comes.
  var hasEnded = false
  /// Why nothing more comes, if that is an error: it is the last element.
  var failure: (any Error)?
  /// Rows that wait.
  private(set) var rowCount = 0

  var isEmpty: Bool { first == segments.count }
  /// Whether everything has come and gone.
  var isOver: Bool { hasEnded && isEmpty && failure == nil }
  /// Whether the error is next.
  var hasFailed: Bool { isEmpty && failure != nil }

  /// All that waits, first first; of the first of them only what is behind its position.
  var waiting: [Segment] { segments[first...].compactMap { $0 } }

  var head: Segment? { isEmpty ? nil : segments[first] }

  mutating func add(_ segment: Segment) {
    guard !segment.isUsedUp else { return segment.free() }
    rowCount += segment.count
    segments.append(segment)
  }

  /// How far the first segment has gone on.
  mutating func advance(to position: Int, mark: Int) {
    guard let segment = segments[first] else { return }
    rowCount -= position - segment.position
    segments[first]?.position = position
    segments[first]?.mark = mark
    if position == segment.count, mark == segment.markCount { removeFirst() }
  }

  private mutating func removeFirst() {
    segments[first]?.free()
    segments[first] = nil
    first += 1
    if first == segments.count {
      segments.removeAll(keepingCapacity: true)
      first = 0
    } else if first >= 64, first * 2 >= segments.count {
      segments.removeFirst(first)
      first = 0
    }
  }

  mutating func removeAll() {
    while !isEmpty { removeFirst() }
    rowCount = 0
  }
}
