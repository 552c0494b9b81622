import CMartlet

/// An immutable batch of rows over Arrow buffers.
///
/// A batch owns the Arrow array it was imported from, or shares that of the batch it is a slice of, and resolves it once
/// into `columns`: one tree of `martlet_column` per column, the view that the engine, C and Python all read. Offsets of
/// sliced arrays are folded, so that row `r` of a column, and of the fields of a struct column, is at element `offset + r` of its
/// buffers. For a fixed-size list of `width` items, row `r` has the rows `r * width ..< (r + 1) * width` of its child; for lists and
/// maps the offsets in `values` are rows of the child.
///
/// `@unchecked Sendable`: nothing changes after `init`, and Arrow arrays are immutable.
public final class RecordBatch: @unchecked Sendable {
  public let schema: Schema
  public let numRows: Int
  /// Borrowed: keep the batch in a variable for as long as you read from here, a temporary may be gone at once.
  public let columns: UnsafeBufferPointer<martlet_column>
  /// Keeps the buffers alive: the imported array, or the batch this one shares them with.
  let owner: BufferOwner
  private let nodes: UnsafeMutableBufferPointer<martlet_column>

  /// Takes the content of `array` (its `release` is nil afterwards, also on failure). Errors: `.schemaMismatch` for an array
  /// that is not laid out as the schema says, naming the column.
  public convenience init(moving array: UnsafeMutablePointer<ArrowArray>, schema: Schema) throws(EngineError) {
    let owner = BufferOwner(moving: array)
    try self.init(owner, schema)
  }

  /// Takes the contents of both. Errors: as `Schema.init(importing:)` and `init(moving:schema:)`.
  public static func importing(
    array: UnsafeMutablePointer<ArrowArray>, schema: UnsafeMutablePointer<ArrowSchema>
  ) throws(EngineError) -> RecordBatch {
    let owner = BufferOwner(moving: array)
    var moved = schema.pointee
    schema.pointee.release = nil
    defer { moved.release?(&moved) }
    return try RecordBatch(owner, Schema(importing: &moved))
  }

  private init(_ owner: BufferOwner, _ schema: Schema) throws(EngineError) {
    try owner.checkTopLevel(columns: schema.fields.count)
    let nodes = schema.columnLayout.copyNodes()
    do {
      try owner.withArray { array throws(EngineError) in
        for position in 0..<schema.fields.count {
          guard let child = array.children[position] else {
            throw EngineError(.schemaMismatch, "column '\(schema.fields[position].name)': its Arrow array is missing")
          }
          try nodes[position].resolve(child, parentOffset: Int(array.offset), rows: Int(array.length))
        }
      }
    } catch {
      nodes.deallocate()
      throw error
    }
    self.schema = schema
    self.numRows = owner.rows
    self.owner = owner
    self.nodes = nodes
    self.columns = UnsafeBufferPointer(rebasing: nodes[0..<schema.fields.count])
  }

  /// Rows `[offset, offset + count)` of `parent`, labelled with a schema that its buffers fit.
  private init(_ parent: RecordBatch, _ offset: Int, _ count: Int, _ schema: Schema) {
    self.schema = schema
    self.numRows = count
    self.owner = parent.owner
    // The names of `schema` and the buffers of the parent; both trees have the same shape.
    nodes = schema.columnLayout.copyNodes()
    columns = UnsafeBufferPointer(rebasing: nodes[0..<schema.fields.count])
    for position in 0..<schema.fields.count { nodes[position].takeBuffers(parent.columns[position], offset, count) }
  }

  deinit { nodes.deallocate() }

  /// Rows `[offset, offset + count)`, sharing the buffers. The range must lie in the batch.
  public func slice(_ offset: Int, _ count: Int) -> RecordBatch {
    precondition(offset >= 0 && count >= 0 && offset + count <= numRows, "slice \(offset)+\(count) of \(numRows) rows")
    if offset == 0 && count == numRows { return self }
    return RecordBatch(self, offset, count, schema)
  }

  /// The same rows under a schema with the same types and at least the same nullability.
  func relabelled(_ schema: Schema, _ offset: Int, _ count: Int) -> RecordBatch {
    if schema == self.schema { return slice(offset, count) }
    return RecordBatch(self, offset, count, schema)
  }

  /// The position of a column. Errors: `.missingColumn` listing the columns there are.
  public func column(named name: String) throws(EngineError) -> Int {
    if let position = schema.index(of: name) { return position }
    throw schema.missing(name)
  }
}

/// Owns a moved Arrow array and releases it once.
///
/// `@unchecked Sendable`: the array is immutable and only `deinit` calls `release`.
final class BufferOwner: @unchecked Sendable {
  private var array: ArrowArray

  init(moving source: UnsafeMutablePointer<ArrowArray>) {
    array = source.pointee
    source.pointee.release = nil
  }

  deinit { array.release?(&array) }

  var rows: Int { Int(array.length) }

  func withArray(_ body: (ArrowArray) throws(EngineError) -> Void) throws(EngineError) { try body(array) }

  /// Whether this is an array of rows that the engine can number: not released, right child count, no null rows.
  func checkTopLevel(columns: Int) throws(EngineError) {
    guard array.release != nil else {
      throw EngineError(.invalidArgument, "the Arrow array was already released or moved; pass one that is still live")
    }
    guard ArrowExtent.isSound(array) else {
      throw EngineError(
        .schemaMismatch,
        "the Arrow array has length \(array.length) and offset \(array.offset); one is negative or out of bounds")
    }
    guard array.length <= Int32.max else {
      throw EngineError(
        .invalidArgument,
        "a batch of \(array.length) rows is too long; split it into batches of at most \(Int32.max) rows")
    }
    guard array.n_children == columns, columns == 0 || array.children != nil else {
      throw EngineError(.schemaMismatch, "the schema has \(columns) columns, the Arrow array \(array.n_children)")
    }
    if array.null_count != 0, array.n_buffers >= 1, let bits = array.buffers?[0] {
      let set = Bitmap.popcount(
        bits.assumingMemoryBound(to: UInt8.self), from: Int(array.offset), count: Int(array.length))
      guard set == Int(array.length) else {
        throw EngineError(
          .schemaMismatch,
          "\(Int(array.length) - set) whole rows are null; a record batch has nulls in its columns only: drop those rows or unnest the struct first"
        )
      }
    }
  }
}
