/// Merges what the instances emitted to one output into the order of a serial run, with the watermarks between.
///
/// Rows are moved as references as long as possible: where all instances emitted records of the same input batch, the merged rows
/// refer to it too. Rows that instances built lie in batches of their own; those are put one after the other, and the merged rows refer
/// to the whole.
final class LaneMerger {
  let lane: OutputLane
  /// Whether the instances know the output's schema.
  var schemaIsTold = false
  private var joined: BatchBuilder?
  /// Per order, where its next row goes; kept for its memory.
  private var places = UnsafeMutablePointer<UInt32>.blocks(0)
  private var placeCapacity = 0

  init(_ lane: OutputLane) { self.lane = lane }

  deinit { places.freeBlocks() }

  /// `marks` are in order. With `failed`, what comes after it is left out.
  func merge(_ results: [InstanceResult], _ marks: [PassedMark], upTo failed: FirstFailure?) throws(EngineError) {
    var cursors: [RowCursor] = []
    for (instance, result) in results.enumerated() {
      guard let rows = result.lanes.first(where: { $0.tag == lane.tag }) else { continue }
      let keyBytes = rows.orders.keyBytes.withUnsafeBufferPointer { $0.baseAddress }
      var cursor = RowCursor(instance, rows, keyBytes: keyBytes)
      if let failed { cursor.cut(at: failed) }
      if !cursor.isAtEnd { cursors.append(cursor) }
    }
    let start = lane.builder.numRows
    try withExtendedLifetime(results) { () throws(EngineError) in
      if !cursors.isEmpty { try append(cursors) }
      if lane.forwards { note(marks, after: start, cursors) }
    }
  }

  private func append(_ cursors: [RowCursor]) throws(EngineError) {
    let sources = try sources(of: cursors)
    let total = cursors.reduce(0) { $0 + $1.end }
    let out = try lane.builder.appendRows(sources.batch, total)
    if cursors.contains(where: { !$0.lane.orders.details.isEmpty }) {
      mergeByPlace(cursors, sources.bases, out)
    } else {
      mergeByOrder(cursors, sources.bases, out)
    }
  }

  // MARK: - Where rows come from

  /// One batch that has the rows of all, and for each instance where its rows begin in it; nil where its row numbers are of it.
  private func sources(of cursors: [RowCursor]) throws(EngineError) -> (batch: RecordBatch, bases: [Int?]) {
    let first = cursors[0].lane
    if cursors.allSatisfy({ $0.lane.batch === first.batch && $0.lane.rows != nil }) || cursors.count == 1 {
      let schema = lane.builder.schema ?? first.batch.schema
      return (try SchemaConversion.convert(first.batch, to: schema, of: lane), [first.rows == nil ? 0 : nil])
    }
    let schema = lane.builder.schema ?? schemaOfFirstRow(cursors)
    let joined = try joinedBuilder(schema)
    var bases: [Int?] = []
    for cursor in cursors {
      let batch = try SchemaConversion.convert(cursor.lane.batch, to: schema, of: lane)
      bases.append(joined.numRows)
      if let rows = cursor.lane.rows {
        try joined.append(batch, rows: UnsafeBufferPointer(rebasing: rows.values.prefix(cursor.end)))
      } else {
        try joined.append(batch, range: 0..<cursor.end)
      }
    }
    return (try joined.finish(), bases)
  }

  private func schemaOfFirstRow(_ cursors: [RowCursor]) -> Schema {
    var first = cursors[0]
    for cursor in cursors.dropFirst() where cursor.place.compare(first.place) < 0 { first = cursor }
    return first.lane.batch.schema
  }

  private func joinedBuilder(_ schema: Schema) throws(EngineError) -> BatchBuilder {
    if let joined, joined.schema == schema { return joined }
    let builder = try BatchBuilder(schema)
    joined = builder
    return builder
  }

  // MARK: - Where rows go

  /// Without details an order's rows follow each other: a counting sort.
  private func mergeByOrder(_ cursors: [RowCursor], _ bases: [Int?], _ out: OutputBuilder.NewRows) {
    if cursors.count == 1 { return copy(cursors[0], bases[0], out) }
    var last: UInt32 = 0
    for cursor in cursors { last = max(last, cursor.lane.orders.values[cursor.end - 1]) }
    if scatter(cursors, bases, last, out) { return }
    let orders = Int(last) + 1
    if orders + 1 > placeCapacity {
      placeCapacity = max(orders + 1, 2 * placeCapacity)
      places.growBlocks(to: placeCapacity)
    }
    let places = places
    places.update(repeating: 0, count: orders + 1)
    for cursor in cursors {
      let orders = cursor.lane.orders.values
      for row in 0..<cursor.end { places[Int(orders[row]) &+ 1] &+= 1 }
    }
    for order in 0..<orders { places[order &+ 1] &+= places[order] }
    for (number, cursor) in cursors.enumerated() {
      let orders = cursor.lane.orders.values
      let source = RowSource(cursor.lane, bases.count == 1 ? bases[0] : bases[number])
      if let times = out.timestamps, let mine = cursor.lane.timestamps?.values.baseAddress {
        for row in 0..<cursor.end {
          let place = Int(places[Int(orders[row])])
          places[Int(orders[row])] = UInt32(truncatingIfNeeded: place &+ 1)
          out.rows[place] = source[row]
          times[place] = mine[row]
        }
      } else {
        for row in 0..<cursor.end {
          let place = Int(places[Int(orders[row])])
          places[Int(orders[row])] = UInt32(truncatingIfNeeded: place &+ 1)
          out.rows[place] = source[row]
        }
      }
    }
  }

  /// The short way where every record caused one row, so that its position is the row's place; false if that is not so, and nothing
  /// of it counts then. As many rows as places, and no place left empty: then none was taken twice.
  private func scatter(
    _ cursors: [RowCursor], _ bases: [Int?], _ last: UInt32, _ out: OutputBuilder.NewRows
  ) -> Bool {
    let total = cursors.reduce(0) { $0 + $1.end }
    guard total == Int(last >> 1) + 1 else { return false }
    let empty: Int32 = -1
    out.rows.update(repeating: empty, count: total)
    for (number, cursor) in cursors.enumerated() {
      let orders = cursor.lane.orders.values
      let source = RowSource(cursor.lane, bases.count == 1 ? bases[0] : bases[number])
      let times = cursor.lane.timestamps?.values.baseAddress
      for row in 0..<cursor.end { out.rows[Int(orders[row] >> 1)] = source[row] }
      if let target = out.timestamps, let times {
        for row in 0..<cursor.end { target[Int(orders[row] >> 1)] = times[row] }
      }
    }
    // Row numbers are not negative.
    var all: Int32 = 0
    for place in 0..<total { all |= out.rows[place] }
    return all >= 0
  }

  private func copy(_ cursor: RowCursor, _ base: Int?, _ out: OutputBuilder.NewRows) {
    let source = RowSource(cursor.lane, base)
    for row in 0..<cursor.end { out.rows[row] = source[row] }
    if let times = out.timestamps, let mine = cursor.lane.timestamps?.values.baseAddress {
      times.update(from: mine, count: cursor.end)
    }
  }

  /// With details: the least head, callback by callback.
  private func mergeByPlace(_ cursors: [RowCursor], _ bases: [Int?], _ out: OutputBuilder.NewRows) {
    var cursors = cursors
    let sources = cursors.indices.map { RowSource(cursors[$0].lane, bases.count == 1 ? bases[0] : bases[$0]) }
    var next = 0
    while true {
      var least = -1
      for number in cursors.indices where !cursors[number].isAtEnd {
        guard least >= 0 else {
          least = number
          continue
        }
        let (mine, known) = (cursors[number].order, cursors[least].order)
        if mine < known || (mine == known && cursors[number].place.compare(cursors[least].place) < 0) { least = number }
      }
      guard least >= 0 else { return }
      let times = cursors[least].lane.timestamps?.values.baseAddress
      for row in cursors[least].takeEqual() {
        out.rows[next] = sources[least][row]
        if let mine = times { out.timestamps?[next] = mine[row] }
        next += 1
      }
    }
  }

  /// Puts the watermarks after the rows of the timers they fired.
  private func note(_ marks: [PassedMark], after start: Int, _ cursors: [RowCursor]) {
    var cursors = cursors
    for mark in marks {
      var position = start
      for number in cursors.indices {
        cursors[number].pass(mark)
        position += cursors[number].row
      }
      lane.marks.append(WatermarkMark(position: position, watermark: mark.watermark))
    }
  }
}

/// The number, in the merged batch, of a row of an instance.
private struct RowSource {
  private let rows: UnsafePointer<Int32>?
  private let base: Int32

  init(_ lane: InstanceLane, _ base: Int?) {
    rows = base == nil ? lane.rows?.values.baseAddress : nil
    self.base = Int32(truncatingIfNeeded: base ?? 0)
  }

  @inline(__always)
  subscript(row: Int) -> Int32 {
    if let rows { return rows[row] }
    return base &+ Int32(truncatingIfNeeded: row)
  }
}
